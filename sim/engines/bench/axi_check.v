// Watches an AXI4 manager; `violation` names a broken rule for one cycle (0: none).
// Plusarg: memory_bytes=SIZE, where the memory ends.
//  1 address channel changed while waiting   2 more than MAX_BEATS beats   3 crosses 4 KiB   4 outside the memory
//  5 size, burst type or strobes   6 last beat misplaced   7 write data changed while waiting   8 not aligned
module axi_check #(
    parameter DATA = 128,
    parameter MAX_BEATS = 64,
    parameter [63:0] BASE = 0
) (
    input clk,
    input rst,
    input [63:0] araddr, input [7:0] arlen, input [2:0] arsize, input [1:0] arburst, input arvalid, input arready,
    input [63:0] awaddr, input [7:0] awlen, input [2:0] awsize, input [1:0] awburst, input awvalid, input awready,
    input [DATA-1:0] wdata, input [DATA/8-1:0] wstrb, input wlast, input wvalid, input wready,
    output reg [3:0] violation
);
    localparam SHIFT = $clog2(DATA / 8);

    reg [63:0] limit;
    initial begin
        limit = 0;
        if ($value$plusargs("memory_bytes=%d", limit)) ;
    end

    reg ar_waits, aw_waits, w_waits, last_before;
    reg [71:0] ar_before, aw_before;
    reg [DATA-1:0] data_before;
    reg [7:0] lengths [0:31];
    reg [4:0] asked, served;
    reg [7:0] beat;

    function [3:0] address_rule(input [63:0] addr, input [7:0] len, input [2:0] size, input [1:0] burst);
        reg [63:0] bytes;
        begin
            bytes = ({56'b0, len} + 1) << SHIFT;
            address_rule = 0;
            if (len >= MAX_BEATS) address_rule = 2;
            if ({52'b0, addr[11:0]} + bytes > 4096) address_rule = 3;
            if (addr < BASE || addr + bytes > BASE + limit) address_rule = 4;
            if (size != SHIFT || burst != 1) address_rule = 5;
            if (addr[SHIFT-1:0] != 0) address_rule = 8;
        end
    endfunction

    always @(posedge clk) begin
        violation <= 0;
        if (rst) begin
            ar_waits <= 0; aw_waits <= 0; w_waits <= 0; asked <= 0; served <= 0; beat <= 0;
        end else begin
            ar_waits <= arvalid && !arready; ar_before <= {araddr, arlen};
            aw_waits <= awvalid && !awready; aw_before <= {awaddr, awlen};
            w_waits <= wvalid && !wready; data_before <= wdata; last_before <= wlast;
            if (arvalid) violation <= address_rule(araddr, arlen, arsize, arburst);
            if (awvalid && address_rule(awaddr, awlen, awsize, awburst) != 0)
                violation <= address_rule(awaddr, awlen, awsize, awburst);
            if (ar_waits && (!arvalid || ar_before != {araddr, arlen})) violation <= 1;
            if (aw_waits && (!awvalid || aw_before != {awaddr, awlen})) violation <= 1;
            if (w_waits && (!wvalid || data_before != wdata || last_before != wlast)) violation <= 7;
            if (awvalid && awready) begin
                lengths[asked] <= awlen;
                asked <= asked + 1;
            end
            if (wvalid && wready) begin
                if (!(&wstrb)) violation <= 5;
                if (wlast != (beat == lengths[served])) violation <= 6;
                beat <= wlast ? 0 : beat + 1;
                if (wlast) served <= served + 1;
            end
        end
    end
endmodule
