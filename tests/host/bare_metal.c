/* Runs a program with the C driver; the system's bus is a UARTbone behind the file descriptor that the first argument names. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "program.h"

#define REGISTERS 0x80000000u
#define MEMORY 0x40000000u
#define LOOKS 100000

static int bus;

static void send_all(const uint8_t *data, size_t count) {
  while (count) {
    ssize_t sent = write(bus, data, count);
    if (sent <= 0) exit(3);
    data += sent;
    count -= (size_t)sent;
  }
}

static void put(uint8_t *at, uint32_t value) {
  for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t bus_read(uint32_t address) {
  uint8_t data[6] = {2, 1};
  uint32_t value = 0;
  put(data + 2, address / 4);
  send_all(data, 6);
  for (int i = 0; i < 4; i++) {
    uint8_t byte;
    if (read(bus, &byte, 1) != 1) exit(3);
    value = value << 8 | byte;
  }
  return value;
}

static void bus_write(uint32_t address, uint32_t value) {
  uint8_t data[10] = {1, 1};
  put(data + 2, address / 4);
  put(data + 6, value);
  send_all(data, 10);
}

static uint32_t register_read(void *context, uint32_t offset) { (void)context; return bus_read(REGISTERS + offset); }
static void register_write(void *context, uint32_t offset, uint32_t value) { (void)context; bus_write(REGISTERS + offset, value); }

static void load(uint32_t offset, const uint8_t *data, uint32_t bytes) {
  for (uint32_t at = 0; at < bytes; at += 4)
    bus_write(MEMORY + offset + at, data[at] | data[at + 1] << 8 | data[at + 2] << 16 | (uint32_t)data[at + 3] << 24);
}

int main(int count, char **arguments) {
  struct sqz machine = {register_read, register_write, 0};
  struct sqz_program other = program;
  if (count != 2) return 3;
  bus = atoi(arguments[1]);
  other.fingerprint++;
  printf("%s\n", sqz_text(sqz_probe(&machine, &other)));
  other.version++;
  printf("%s\n", sqz_text(sqz_probe(&machine, &other)));
  if (sqz_probe(&machine, &program)) return 4;
  load(program.constants_offset, program.constants, program.constants_bytes);
  load(program.code_offset, program.code, 64 * program.instructions);

  /* By polling. */
  sqz_interrupts(&machine, SQZ_IRQ_ENABLE_DONE_MASK | SQZ_IRQ_ENABLE_ERROR_MASK | SQZ_IRQ_ENABLE_ABORTED_MASK);
  printf("%d\n", sqz_start(&machine, &program, MEMORY, 0));
  printf("%s\n", sqz_text(sqz_wait(&machine, LOOKS)));
  printf("%d\n", sqz_interrupt(&machine) == SQZ_IRQ_STATUS_DONE_MASK && sqz_interrupt(&machine) == 0);
  printf("%llu\n", (unsigned long long)sqz_counter(&machine, SQZ_COUNTER_CYCLES));

  /* An error, in words, and where it was found. */
  bus_write(MEMORY + program.code_offset, 0xffffffffu);
  sqz_start(&machine, &program, MEMORY, 0);
  printf("%s\n", sqz_text(sqz_wait(&machine, LOOKS)));
  printf("%d %d\n", sqz_error_unit(&machine) == SQZ_UNIT_FETCH, (int)sqz_error_detail(&machine));
  printf("%d\n", sqz_interrupt(&machine) == SQZ_IRQ_STATUS_ERROR_MASK);
  load(program.code_offset, program.code, 64);

  /* As many as may wait, and an end to them. */
  int result = 0;
  for (int i = 0; i < 100 && !result; i++) result = sqz_start(&machine, &program, MEMORY, 0);
  printf("%s\n", sqz_text(result));
  printf("%s\n", sqz_text(sqz_wait(&machine, 0)));
  result = sqz_abort(&machine, LOOKS);
  printf("%d %s\n", result, sqz_text(sqz_poll(&machine)));
  printf("%d\n", sqz_interrupt(&machine) == SQZ_IRQ_STATUS_ABORTED_MASK);

  /* Halted by its limit of 1,024 cycles; then a reset, and once more. */
  sqz_start(&machine, &program, MEMORY, 1);
  printf("%s\n", sqz_text(sqz_wait(&machine, LOOKS)));
  printf("%d\n", sqz_reset(&machine, LOOKS));
  sqz_start(&machine, &program, MEMORY, 0);
  printf("%s\n", sqz_text(sqz_wait(&machine, LOOKS)));
  return 0;
}
