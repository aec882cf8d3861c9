// The machine with the reference memory, driven through its registers only.
// Plusargs: those of reference_memory and axi_check; trace=FILE: a line "KIND NUMBER CYCLE" for each event, KIND being S (unit NUMBER accepts
// an instruction), R (it retires one), V (AXI rule NUMBER broken), L (write data was late), E (a program ended; CYCLE cycles).
// Cycle 0 is the first in which the program runs. ``rst`` resets all of it, ``machine_rst`` the machine alone.
module bench #(
    parameter DATA = 128,
    parameter WORDS = 65536,
    parameter MAX_BEATS = 64,
    parameter [63:0] BASE = 64'h0000_0001_4000_0000
) (
    input clk,
    input rst,
    input machine_rst,
    input dump,
    input [11:0] s_axi_awaddr, input [2:0] s_axi_awprot, input s_axi_awvalid, output s_axi_awready,
    input [31:0] s_axi_wdata, input [3:0] s_axi_wstrb, input s_axi_wvalid, output s_axi_wready,
    output [1:0] s_axi_bresp, output s_axi_bvalid, input s_axi_bready,
    input [11:0] s_axi_araddr, input [2:0] s_axi_arprot, input s_axi_arvalid, output s_axi_arready,
    output [31:0] s_axi_rdata, output [1:0] s_axi_rresp, output s_axi_rvalid, input s_axi_rready,
    output irq
);
    wire arid, arvalid, arready, rid, rlast, rvalid, rready, awid, awvalid, awready, wlast, wvalid, wready, bid, bvalid, bready;
    wire [63:0] araddr, awaddr;
    wire [7:0] arlen, awlen;
    wire [2:0] arsize, awsize, arprot, awprot;
    wire [1:0] arburst, awburst, rresp, bresp;
    wire [3:0] arcache, awcache, arqos, awqos;
    wire arlock, awlock;
    wire [DATA-1:0] rdata, wdata;
    wire [DATA/8-1:0] wstrb;
    wire trace_run;
    wire [4:0] trace_start, trace_retire;

    squeezelerator dut (
        .clk(clk), .rst(rst | machine_rst), .bus_rst(rst), .irq(irq),
        .s_axi_awaddr(s_axi_awaddr), .s_axi_awprot(s_axi_awprot), .s_axi_awvalid(s_axi_awvalid), .s_axi_awready(s_axi_awready),
        .s_axi_wdata(s_axi_wdata), .s_axi_wstrb(s_axi_wstrb), .s_axi_wvalid(s_axi_wvalid), .s_axi_wready(s_axi_wready),
        .s_axi_bresp(s_axi_bresp), .s_axi_bvalid(s_axi_bvalid), .s_axi_bready(s_axi_bready),
        .s_axi_araddr(s_axi_araddr), .s_axi_arprot(s_axi_arprot), .s_axi_arvalid(s_axi_arvalid), .s_axi_arready(s_axi_arready),
        .s_axi_rdata(s_axi_rdata), .s_axi_rresp(s_axi_rresp), .s_axi_rvalid(s_axi_rvalid), .s_axi_rready(s_axi_rready),
        .m_axi_arid(arid), .m_axi_araddr(araddr), .m_axi_arlen(arlen), .m_axi_arsize(arsize), .m_axi_arburst(arburst),
        .m_axi_arlock(arlock), .m_axi_arcache(arcache), .m_axi_arprot(arprot), .m_axi_arqos(arqos),
        .m_axi_arvalid(arvalid), .m_axi_arready(arready),
        .m_axi_rid(rid), .m_axi_rdata(rdata), .m_axi_rresp(rresp), .m_axi_rlast(rlast), .m_axi_rvalid(rvalid),
        .m_axi_rready(rready),
        .m_axi_awid(awid), .m_axi_awaddr(awaddr), .m_axi_awlen(awlen), .m_axi_awsize(awsize), .m_axi_awburst(awburst),
        .m_axi_awlock(awlock), .m_axi_awcache(awcache), .m_axi_awprot(awprot), .m_axi_awqos(awqos),
        .m_axi_awvalid(awvalid), .m_axi_awready(awready),
        .m_axi_wdata(wdata), .m_axi_wstrb(wstrb), .m_axi_wlast(wlast), .m_axi_wvalid(wvalid), .m_axi_wready(wready),
        .m_axi_bid(bid), .m_axi_bresp(bresp), .m_axi_bvalid(bvalid), .m_axi_bready(bready),
        .trace_run(trace_run), .trace_start(trace_start), .trace_retire(trace_retire)
    );

    wire late;
    reference_memory #(.DATA(DATA), .WORDS(WORDS), .BASE(BASE)) memory (
        .clk(clk), .rst(rst), .dump(dump),
        .arid(arid), .araddr(araddr), .arlen(arlen), .arvalid(arvalid), .arready(arready),
        .rid(rid), .rdata(rdata), .rresp(rresp), .rlast(rlast), .rvalid(rvalid), .rready(rready),
        .awid(awid), .awaddr(awaddr), .awlen(awlen), .awvalid(awvalid), .awready(awready),
        .wdata(wdata), .wstrb(wstrb), .wvalid(wvalid), .wready(wready),
        .bid(bid), .bresp(bresp), .bvalid(bvalid), .bready(bready), .late(late)
    );

    wire [3:0] violation;
    axi_check #(.DATA(DATA), .MAX_BEATS(MAX_BEATS), .BASE(BASE)) check (
        .clk(clk), .rst(rst),
        .araddr(araddr), .arlen(arlen), .arsize(arsize), .arburst(arburst), .arvalid(arvalid), .arready(arready),
        .awaddr(awaddr), .awlen(awlen), .awsize(awsize), .awburst(awburst), .awvalid(awvalid), .awready(awready),
        .wdata(wdata), .wstrb(wstrb), .wlast(wlast), .wvalid(wvalid), .wready(wready), .violation(violation)
    );

    reg [63:0] cycle;
    reg ran;
    reg [8*512-1:0] file;
    integer trace, unit;
    initial begin
        trace = 0;
        if ($value$plusargs("trace=%s", file)) trace = $fopen(file, "w");
    end
    always @(posedge clk) begin
        cycle <= trace_run ? cycle + 1 : 0;
        ran <= trace_run && !rst;
        if (trace != 0 && !rst) begin
            if (trace_run)
                for (unit = 0; unit < 5; unit = unit + 1) begin
                    if (trace_start[unit]) $fwrite(trace, "S %0d %0d\n", unit, cycle);
                    if (trace_retire[unit]) $fwrite(trace, "R %0d %0d\n", unit, cycle);
                end
            if (violation != 0) $fwrite(trace, "V %0d %0d\n", violation, cycle);
            if (late) $fwrite(trace, "L 0 %0d\n", cycle);
            if (ran && !trace_run) $fwrite(trace, "E 0 %0d\n", cycle);
        end
        if (dump && trace != 0) $fflush(trace);
    end
endmodule
