// Runs many programs on the bench, each in a process of its own that begins with the machine as it comes out of its reset.
//
// usage: batch INPUT OUTPUT. Both are sequences of records of little-endian 32-bit words, as sim/engines/batch.py has them.
// Forking leaves the memories and registers of the parent as they are, so that no program sees what another has left, at the price of
// the pages that it writes.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "Vtop.h"
#include "Vtop___024root.h"
#include "verilated.h"
#if VM_COVERAGE
#include "verilated_cov.h"
#endif

namespace {

// Macros (-D): REG_* are the offsets of registers, from squeezelerator/spec/registers.py.
constexpr uint64_t MEMORY_BASE = BATCH_MEMORY_BASE;
constexpr uint32_t BLOCK = 64;
constexpr int RETIRED = 5;

enum Flag : uint32_t { HANG = 1, CRASH = 2, BUSY = 4, NOT_ABORTED = 8 };

struct Job {
    uint32_t number, mem_size, watched, offset, count, check, cycle_limit, hang_limit, latency, stall, seed, read_error, write_error, image, patches;
};

struct Result {
    uint32_t number, flags, rule, rule_cycle, status, detail, irq, bus, retired[RETIRED], cycles_low, cycles_high, blocks;
};

class Machine {
public:
    Machine() {
        top.clk = 0;
        top.rst = 1;
        top.machine_rst = 0;
        top.dump = 0;
        top.s_axi_awvalid = top.s_axi_wvalid = top.s_axi_arvalid = 0;
        top.s_axi_awprot = top.s_axi_arprot = 0;
        top.s_axi_wstrb = 15;
        top.s_axi_bready = top.s_axi_rready = 1;
        for (int i = 0; i < 4; ++i) tick();
        top.rst = 0;
        cycle = 0;
        rule = rule_cycle = 0;
    }

    void tick() {
        top.clk = 0;
        top.eval();
        top.clk = 1;
        top.eval();
        ++cycle;
        if (top.rootp->bench__DOT__violation != 0 && rule == 0) {
            rule = top.rootp->bench__DOT__violation;
            rule_cycle = cycle;
        }
    }

    void write(uint32_t offset, uint32_t value) {
        top.s_axi_awaddr = offset;
        top.s_axi_awvalid = 1;
        handshake(top.s_axi_awready);
        top.s_axi_awvalid = 0;
        top.s_axi_wdata = value;
        top.s_axi_wvalid = 1;
        handshake(top.s_axi_wready);
        top.s_axi_wvalid = 0;
        handshake(top.s_axi_bvalid);
    }

    uint32_t read(uint32_t offset) {
        top.s_axi_araddr = offset;
        top.s_axi_arvalid = 1;
        handshake(top.s_axi_arready);
        top.s_axi_arvalid = 0;
        uint32_t found = 0;
        handshake(top.s_axi_rvalid, &found);
        return found;
    }

    bool interrupt(uint64_t limit) {
        for (uint64_t i = 0; i < limit; ++i) {
            if (top.irq) return true;
            tick();
        }
        return top.irq;
    }

    uint8_t* memory() { return reinterpret_cast<uint8_t*>(&top.rootp->bench__DOT__memory__DOT__store[0]); }
    Vtop___024root* root() { return top.rootp; }

    uint32_t rule, rule_cycle;

private:
    // Ticks until the edge at which ``ready`` was high, and keeps the read data of that moment.
    void handshake(CData& ready, uint32_t* data = nullptr) {
        for (int i = 0; i < 1000; ++i) {
            top.clk = 0;
            top.eval();
            bool taken = ready;
            if (data != nullptr) *data = top.s_axi_rdata;
            tick();
            if (taken) return;
        }
        std::fprintf(stderr, "the register port does not answer\n");
        _exit(1);
    }

    Vtop top;
    uint32_t cycle = 0;
};

bool read_all(FILE* file, void* to, size_t size) { return size == 0 || std::fread(to, size, 1, file) == 1; }

void write_all(int file, const void* from, size_t size) {
    const char* at = static_cast<const char*>(from);
    while (size != 0) {
        ssize_t done = ::write(file, at, size);
        if (done < 0) _exit(1);
        at += done;
        size -= done;
    }
}

// The job in this process; what it leaves behind goes to ``out``.
void run(Machine& machine, const Job& job, const std::vector<uint8_t>& image, int out) {
    auto* root = machine.root();
    std::memcpy(machine.memory(), image.data(), image.size());
    root->bench__DOT__memory__DOT__latency = job.latency;
    root->bench__DOT__memory__DOT__stall = job.stall;
    root->bench__DOT__memory__DOT__noise = 0x9E3779B97F4A7C15ull ^ (uint64_t(job.seed) << 32 | uint32_t(~job.seed));
    root->bench__DOT__memory__DOT__read_error = job.read_error;
    root->bench__DOT__memory__DOT__write_error = job.write_error;
    root->bench__DOT__check__DOT__limit = job.watched;
    machine.write(REG_MEM_BASE_LO, uint32_t(MEMORY_BASE));
    machine.write(REG_MEM_BASE_HI, uint32_t(MEMORY_BASE >> 32));
    machine.write(REG_MEM_SIZE, job.mem_size);
    machine.write(REG_PROG_OFFSET, job.offset);
    machine.write(REG_PROG_COUNT, job.count);
    machine.write(REG_PROG_CHECK, job.check);
    machine.write(REG_CYCLE_LIMIT, job.cycle_limit);
    machine.write(REG_IRQ_ENABLE, 7);
    machine.write(REG_CTRL, 1);
    Result result{};
    result.number = job.number;
    if (!machine.interrupt(job.hang_limit)) {
        result.flags |= HANG;
        machine.write(REG_CTRL, 2);
        if (!machine.interrupt(job.hang_limit)) result.flags |= NOT_ABORTED;
    }
    result.status = machine.read(REG_STATUS);
    result.detail = machine.read(REG_ERROR_DETAIL);
    result.irq = machine.read(REG_IRQ_STATUS);
    result.bus = machine.read(REG_BUS);
    for (int unit = 0; unit < RETIRED; ++unit) result.retired[unit] = machine.read(REG_RETIRED_LOAD + 4 * unit);
    result.cycles_low = machine.read(REG_JOB_CYCLES_LO);
    result.cycles_high = machine.read(REG_JOB_CYCLES_HI);
    // The memory is the host's now: whatever is still written would be a fault.
    for (int i = 0; i < 200; ++i) machine.tick();
    if (machine.read(REG_BUS) != 0) result.flags |= BUSY;
    result.rule = machine.rule;
    result.rule_cycle = machine.rule_cycle;
    std::vector<uint8_t> blocks;
    for (size_t at = 0; at < image.size(); at += BLOCK) {
        size_t size = std::min<size_t>(BLOCK, image.size() - at);
        if (std::memcmp(machine.memory() + at, image.data() + at, size) == 0) continue;
        uint8_t block[4 + BLOCK] = {};
        uint32_t place = at;
        std::memcpy(block, &place, 4);
        std::memcpy(block + 4, machine.memory() + at, size);
        blocks.insert(blocks.end(), block, block + sizeof block);
        ++result.blocks;
    }
    write_all(out, &result, sizeof result);
    write_all(out, blocks.data(), blocks.size());
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    Verilated::commandArgs(1, argv);
    FILE* in = std::fopen(argv[1], "rb");
    int out = ::open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
    if (in == nullptr || out < 0) return 2;
    Machine machine;
    std::vector<uint8_t> image;
    Job job;
    while (read_all(in, &job, sizeof job)) {
        // No image of its own: that of the program before, with other patches.
        if (job.image != 0) {
            image.resize(job.image);
            if (!read_all(in, image.data(), image.size())) return 3;
        }
        std::vector<uint8_t> patched = image;
        for (uint32_t i = 0; i < job.patches; ++i) {
            uint32_t place[2];
            if (!read_all(in, place, sizeof place) || uint64_t(place[0]) + place[1] > patched.size()) return 3;
            if (!read_all(in, patched.data() + place[0], place[1])) return 3;
        }
        pid_t child = ::fork();
        if (child < 0) return 4;
        if (child == 0) {
            run(machine, job, patched, out);
#if VM_COVERAGE
            VerilatedCov::write(("coverage-" + std::to_string(job.number)).c_str());
#endif
            _exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        if (status != 0) {
            Result lost{};
            lost.number = job.number;
            lost.flags = CRASH;
            write_all(out, &lost, sizeof lost);
        }
    }
    return 0;
}
