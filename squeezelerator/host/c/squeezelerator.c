/* See squeezelerator.h. */
#include "squeezelerator.h"

static uint32_t read_word(void *context, uint32_t offset) { return *(volatile uint32_t *)((uintptr_t)context + offset); }

static void write_word(void *context, uint32_t offset, uint32_t value) { *(volatile uint32_t *)((uintptr_t)context + offset) = value; }

static uint32_t get(const struct sqz *machine, uint32_t offset) { return machine->read(machine->context, offset); }

static void set(const struct sqz *machine, uint32_t offset, uint32_t value) { machine->write(machine->context, offset, value); }

struct sqz sqz_at(uintptr_t address) {
  struct sqz machine = {read_word, write_word, (void *)address};
  return machine;
}

int sqz_probe(const struct sqz *machine, const struct sqz_program *program) {
  if (get(machine, SQZ_ID) != SQZ_ID_VALUE) return SQZ_NO_MACHINE;
  if (get(machine, SQZ_VERSION) != program->version) return SQZ_OTHER_ISA;
  return get(machine, SQZ_FINGERPRINT) == program->fingerprint ? 0 : SQZ_OTHER_MACHINE;
}

int sqz_start(const struct sqz *machine, const struct sqz_program *program, uint64_t memory, uint32_t limit) {
  set(machine, SQZ_MEM_BASE_LO, (uint32_t)memory);
  set(machine, SQZ_MEM_BASE_HI, (uint32_t)(memory >> 32));
  set(machine, SQZ_MEM_SIZE, program->memory_bytes);
  set(machine, SQZ_PROG_OFFSET, program->code_offset);
  set(machine, SQZ_PROG_COUNT, program->instructions);
  set(machine, SQZ_PROG_CHECK, program->check);
  set(machine, SQZ_CYCLE_LIMIT, limit);
  set(machine, SQZ_CTRL, SQZ_CTRL_START_MASK);
  return get(machine, SQZ_STATUS) & SQZ_STATUS_REFUSED_MASK ? SQZ_REFUSED : 0;
}

int sqz_poll(const struct sqz *machine) {
  uint32_t status = get(machine, SQZ_STATUS);
  if (!(status & SQZ_STATUS_IDLE_MASK)) return SQZ_RUNNING;
  if (status & (SQZ_STATUS_ERROR_MASK | SQZ_STATUS_ABORTED_MASK))
    return (int)((status & SQZ_STATUS_CODE_MASK) >> SQZ_STATUS_CODE_SHIFT);
  return SQZ_DONE;
}

int sqz_wait(const struct sqz *machine, uint32_t looks) {
  while (looks--) {
    int result = sqz_poll(machine);
    if (result != SQZ_RUNNING) return result;
  }
  return SQZ_TIMEOUT;
}

static int settle(const struct sqz *machine, uint32_t looks) { return sqz_wait(machine, looks) == SQZ_TIMEOUT ? SQZ_TIMEOUT : 0; }

int sqz_abort(const struct sqz *machine, uint32_t looks) {
  set(machine, SQZ_CTRL, SQZ_CTRL_ABORT_MASK);
  return settle(machine, looks);
}

int sqz_reset(const struct sqz *machine, uint32_t looks) {
  set(machine, SQZ_CTRL, SQZ_CTRL_RESET_MASK);
  return settle(machine, looks);
}

void sqz_interrupts(const struct sqz *machine, uint32_t mask) { set(machine, SQZ_IRQ_ENABLE, mask); }

uint32_t sqz_interrupt(const struct sqz *machine) {
  uint32_t waiting = get(machine, SQZ_IRQ_STATUS);
  set(machine, SQZ_IRQ_STATUS, waiting);
  return waiting;
}

uint64_t sqz_counter(const struct sqz *machine, uint32_t counter) {
  uint32_t low = get(machine, counter);
  return low | (uint64_t)get(machine, counter + 4) << 32;
}

uint32_t sqz_error_unit(const struct sqz *machine) {
  return (get(machine, SQZ_STATUS) & SQZ_STATUS_UNIT_MASK) >> SQZ_STATUS_UNIT_SHIFT;
}

uint32_t sqz_error_detail(const struct sqz *machine) { return get(machine, SQZ_ERROR_DETAIL); }

const char *sqz_text(int result) {
  switch (result) {
#define SQZ_CASE(code, text) \
  case code: return text;
    SQZ_ERRORS(SQZ_CASE)
#undef SQZ_CASE
    case SQZ_RUNNING: return "a program runs";
    case SQZ_NO_MACHINE: return "no Squeezelerator answers";
    case SQZ_OTHER_ISA: return "the machine has another version of the instruction set than the program";
    case SQZ_OTHER_MACHINE: return "the program is for another machine";
    case SQZ_REFUSED: return "as many programs wait as may";
    case SQZ_TIMEOUT: return "the machine was not idle in time";
    default: return "unknown result";
  }
}
