// The reference memory: accepts a read and a write address a cycle, serves bursts in the order of acceptance (a read before
// a write of the same cycle), one beat a cycle; a burst's service begins LATENCY cycles after its acceptance at the earliest.
// Between the beats of a burst lie INTERVAL cycles (1), between two bursts OPENING more (0), and TURNING more (0) if one reads and the
// other writes. Plusargs: latency=CYCLES, interval=CYCLES, opening=CYCLES, turning=CYCLES, stall=P (each handshake is withheld with probability P/256), memory_seed=NUMBER,
// read_error=K, write_error=K (the K-th burst, from 0, is answered with SLVERR), image=FILE (hexadecimal, a word a line).
module reference_memory #(
    parameter DATA = 128,
    parameter WORDS = 65536,
    parameter [63:0] BASE = 0
) (
    input clk,
    input rst,
    input dump,
    input arid, input [63:0] araddr, input [7:0] arlen, input arvalid, output arready,
    output rid, output [DATA-1:0] rdata, output [1:0] rresp, output rlast, output rvalid, input rready,
    input awid, input [63:0] awaddr, input [7:0] awlen, input awvalid, output awready,
    input [DATA-1:0] wdata, input [DATA/8-1:0] wstrb, input wvalid, output wready,
    output bid, output [1:0] bresp, output bvalid, input bready,
    output reg late
);
    localparam SHIFT = $clog2(DATA / 8);
    localparam DEPTH = 32;

    reg [DATA-1:0] store [0:WORDS-1];
    reg [31:0] q_word [0:DEPTH-1];
    reg [63:0] q_due [0:DEPTH-1];
    reg [7:0] q_len [0:DEPTH-1];
    reg q_id [0:DEPTH-1], q_write [0:DEPTH-1], q_error [0:DEPTH-1];
    reg b_error [0:DEPTH-1];
    reg [4:0] head, tail, b_head, b_tail;
    reg [5:0] count, b_count;
    reg [63:0] now, noise, free;
    reg wrote;
    reg [7:0] beat;
    integer latency, interval, opening, turning, stall, seed, read_error, write_error, reads, writes, first, words;
    reg [8*512-1:0] file;

    initial begin
        latency = 100; interval = 1; opening = 0; turning = 0; stall = 0; seed = 1; read_error = -1; write_error = -1; first = 0; words = 0;
        if ($value$plusargs("latency=%d", latency)) ;
        if ($value$plusargs("interval=%d", interval)) ;
        if ($value$plusargs("opening=%d", opening)) ;
        if ($value$plusargs("turning=%d", turning)) ;
        if ($value$plusargs("stall=%d", stall)) ;
        if ($value$plusargs("memory_seed=%d", seed)) ;
        if ($value$plusargs("read_error=%d", read_error)) ;
        if ($value$plusargs("write_error=%d", write_error)) ;
        if ($value$plusargs("dump_first=%d", first)) ;
        if ($value$plusargs("dump_words=%d", words)) ;
        if ($value$plusargs("image=%s", file)) $readmemh(file, store);
        noise = 64'h9E3779B97F4A7C15 ^ {seed, ~seed};
    end

    always @(posedge clk) if (dump && $value$plusargs("dump=%s", file)) $writememh(file, store, first, first + words - 1);

    wire pause_ar = noise[7:0] < stall[8:0], pause_aw = noise[15:8] < stall[8:0], pause_data = noise[23:16] < stall[8:0];
    wire pause_b = noise[31:24] < stall[8:0];
    wire room = count < DEPTH - 2;
    assign arready = room && !pause_ar, awready = room && !pause_aw;

    wire [63:0] ready = beat == 0 && q_write[head] != wrote ? free + turning : free;
    wire serve = count != 0 && now >= q_due[head] && now >= ready && !pause_data;
    wire [31:0] place = q_word[head] + {24'b0, beat};
    assign rvalid = serve && !q_write[head];
    assign rdata = rvalid ? store[place] : 0;
    assign rlast = beat == q_len[head];
    assign rid = q_id[head];
    assign rresp = q_error[head] ? 2'b10 : 2'b00;
    assign wready = serve && q_write[head];
    assign bvalid = b_count != 0 && !pause_b;
    assign bresp = b_error[b_head] ? 2'b10 : 2'b00;
    assign bid = 0;

    wire take_ar = arvalid && arready, take_aw = awvalid && awready;
    wire moves = (rvalid && rready) || (wready && wvalid);
    wire ends = moves && beat == q_len[head];
    wire answers = bvalid && bready;
    wire [4:0] aw_place = tail + {4'b0, take_ar};
    wire [63:0] ar_offset = araddr - BASE, aw_offset = awaddr - BASE;
    integer i;

    always @(posedge clk) begin
        if (rst) begin
            now <= 0; head <= 0; tail <= 0; count <= 0; beat <= 0; b_head <= 0; b_tail <= 0; b_count <= 0;
            reads <= 0; writes <= 0; late <= 0; free <= 0; wrote <= 0;
        end else begin
            now <= now + 1;
            if (stall != 0) noise <= xorshift(noise);
            if (take_ar) begin
                q_word[tail] <= ar_offset[SHIFT +: 32]; q_len[tail] <= arlen; q_id[tail] <= arid; q_write[tail] <= 0;
                q_due[tail] <= now + latency; q_error[tail] <= reads == read_error; reads <= reads + 1;
            end
            if (take_aw) begin
                q_word[aw_place] <= aw_offset[SHIFT +: 32]; q_len[aw_place] <= awlen; q_id[aw_place] <= awid;
                q_write[aw_place] <= 1; q_due[aw_place] <= now + latency; q_error[aw_place] <= writes == write_error;
                writes <= writes + 1;
            end
            tail <= tail + {4'b0, take_ar} + {4'b0, take_aw};
            count <= count + {5'b0, take_ar} + {5'b0, take_aw} - {5'b0, ends};
            if (moves) begin
                beat <= ends ? 0 : beat + 1;
                free <= now + interval + (ends ? opening : 0);
                wrote <= q_write[head];
            end
            if (ends) head <= head + 1;
            if (wready && wvalid)
                for (i = 0; i < DATA / 8; i = i + 1)
                    if (wstrb[i]) store[place][8*i +: 8] <= wdata[8*i +: 8];
            // A full-speed memory never waits for data to write.
            late <= wready && !wvalid && stall == 0;
            if (ends && q_write[head]) begin
                b_error[b_tail] <= q_error[head]; b_tail <= b_tail + 1;
            end
            if (answers) b_head <= b_head + 1;
            b_count <= b_count + {5'b0, ends && q_write[head]} - {5'b0, answers};
        end
    end

    function [63:0] xorshift(input [63:0] x);
        reg [63:0] y;
        begin
            y = x ^ (x << 13);
            y = y ^ (y >> 7);
            xorshift = y ^ (y << 17);
        end
    endfunction
endmodule
