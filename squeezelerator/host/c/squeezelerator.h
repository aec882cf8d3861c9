/* Driver of the Squeezelerator for bare metal: C99, no library, no allocation, no operating system.

   Include the machine's register header first (squeezelerator_peN.h, which comes with the Verilog), or give it to the compiler with -include.
   The program's numbers and bytes come from a header that `squeezelerator c-program prog.bin` writes.

   struct sqz machine = sqz_at(0x80000000u);
   sqz_probe(&machine, &program);                          0, or why not
   sqz_start(&machine, &program, (uint32_t)memory, 0);
   result = sqz_wait(&machine, 1000000);                   SQZ_DONE, or an error: sqz_text(result) */
#ifndef SQUEEZELERATOR_DRIVER_H
#define SQUEEZELERATOR_DRIVER_H

#ifndef SQUEEZELERATOR_REGS_H
#error include the register header of the machine first (squeezelerator_peN.h)
#endif

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Results besides the machine's own error codes, SQZ_ERROR_..., which are above 0. */
#define SQZ_DONE 0
#define SQZ_RUNNING (-1)
#define SQZ_NO_MACHINE (-2)
#define SQZ_OTHER_ISA (-3)
#define SQZ_OTHER_MACHINE (-4)
#define SQZ_REFUSED (-5)
#define SQZ_TIMEOUT (-6)

/* The registers: how one is read and written, by its byte offset. sqz_at fills this in for registers that lie in memory. */
struct sqz {
  uint32_t (*read)(void *context, uint32_t offset);
  void (*write)(void *context, uint32_t offset, uint32_t value);
  void *context;
};

/* An input or output: its place in the program's memory. */
struct sqz_tensor {
  const char *name;
  uint32_t offset, bytes;
};

/* A compiled program. Before it starts, `constants` and `code` lie at their offsets in memory, and the inputs at theirs. */
struct sqz_program {
  uint32_t version, fingerprint, memory_bytes, code_offset, instructions, check;
  uint32_t constants_offset, constants_bytes;
  const uint8_t *constants, *code;
  const struct sqz_tensor *inputs, *outputs;
  uint32_t input_count, output_count;
};

/* A machine whose registers lie in memory at `address`. */
struct sqz sqz_at(uintptr_t address);

/* 0 if there is a machine that runs the program, else SQZ_NO_MACHINE, SQZ_OTHER_ISA or SQZ_OTHER_MACHINE. */
int sqz_probe(const struct sqz *machine, const struct sqz_program *program);

/* Start the program behind those that run or wait. `memory`: the address of its memory, a multiple of 4096. `limit`: it is halted after so
   many times 1024 cycles; 0: never. Returns 0, or SQZ_REFUSED if as many wait as may. */
int sqz_start(const struct sqz *machine, const struct sqz_program *program, uint64_t memory, uint32_t limit);

/* SQZ_RUNNING, or how the last program ended: SQZ_DONE or an error code. The memory is the host's when it is not SQZ_RUNNING. */
int sqz_poll(const struct sqz *machine);

/* As sqz_poll, after at most so many looks at the machine; SQZ_TIMEOUT if it still runs. */
int sqz_wait(const struct sqz *machine, uint32_t looks);

/* End the program that runs and drop those that wait. Returns 0 when the memory is the host's, or SQZ_TIMEOUT. */
int sqz_abort(const struct sqz *machine, uint32_t looks);

/* Reset the machine; the memory stays as it is. Returns as sqz_abort. */
int sqz_reset(const struct sqz *machine, uint32_t looks);

/* Which ends of programs raise the interrupt: SQZ_IRQ_ENABLE_DONE_MASK and so on, or 0. */
void sqz_interrupts(const struct sqz *machine, uint32_t mask);

/* For the interrupt's handler: takes the interrupts that wait back and returns them, SQZ_IRQ_STATUS_DONE_MASK and so on. */
uint32_t sqz_interrupt(const struct sqz *machine);

/* A counter of the last program, SQZ_COUNTER_...; the low half is read first and keeps the high half that belongs to it. */
uint64_t sqz_counter(const struct sqz *machine, uint32_t counter);

/* The unit that found the last error, SQZ_UNIT_..., and more about it, see the error codes. */
uint32_t sqz_error_unit(const struct sqz *machine);
uint32_t sqz_error_detail(const struct sqz *machine);

/* What a result means, in words. */
const char *sqz_text(int result);

#ifdef __cplusplus
}
#endif
#endif
