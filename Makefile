# Targets: board-sim, bitstream, docs, run, test, slow-test, prove, fuzz, lint, schedules, verilog, synth, paper, demo, clean. Every target sets up what it needs.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

NETWORK ?= sqnxt23v5
PE ?= 16
BUFFER_KIB ?=
RF ?=
BUS_BITS ?=
SECTORS ?=
MACHINE = --pe $(PE) $(if $(BUFFER_KIB),--buffer-kib $(BUFFER_KIB)) $(if $(RF),--rf $(RF)) $(if $(BUS_BITS),--bus-bits $(BUS_BITS)) \
    $(if $(SECTORS),--sectors $(SECTORS))

.DEFAULT_GOAL := run
.PHONY: bitstream board-sim coverage docs lock run test slow-test prove fuzz lint schedules verilog synth paper demo setup clean

# Direct versions come from pyproject.toml alone; requirements.lock has those and all that they bring, with hashes (make lock). torch stands
# outside of it: a machine may have another build of the same version (CPU or CUDA), with other hashes.
TORCH = $(shell sed -n 's/.*"\(torch==[^"]*\)".*/\1/p' pyproject.toml)
$(STAMP): requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	touch $@

lock:
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(shell sed -n 's/.*"\(pip-tools==[^"]*\)".*/\1/p' pyproject.toml)
	$(BIN)/pip-compile --quiet --all-extras --generate-hashes --strip-extras --unsafe-package torch --no-annotate --no-header \
	    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements.lock pyproject.toml
	# What it says of torch is no fault, see above.
	sed -i '/^# WARNING: The following/,$$d' requirements.lock

setup: $(STAMP)

# One whole inference on the generated Verilog, on the cycle model and on the golden model, and a report of it.
REPORT ?= build/reports/$(basename $(notdir $(NETWORK)))_pe$(PE).html
run: $(STAMP)
	mkdir -p $(dir $(REPORT))
	$(BIN)/python -m sim $(NETWORK) $(MACHINE) --engine rtl,model,golden --html $(REPORT)

# A worker for each processor; tests that take long come first in their files or share simulators, so that none waits for the other long.
test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist worksteal

# What the compiler makes of networks, compared with the table in the repository; RENEW=1 writes what was found into it.
schedules: $(STAMP)
	$(BIN)/python -m sim.schedules $(if $(RENEW),--renew)

# Says first how much processor time it will take; RENEW=1 writes what it took into tests/slow_times.csv.
slow-test: $(STAMP)
	$(BIN)/python -m pytest -m slow $(if $(RENEW),--renew-slow-times)

# One page with what the default tests cover of the Python sources, and programs of the hardware: build/coverage/coverage.html
coverage: $(STAMP)
	$(BIN)/python -m tests.coverage_report

# Every proof about the hardware and its broken twin; the default tests have the short ones.
prove: $(STAMP)
	$(BIN)/python -m pytest -m "prove or not prove" tests/formal --durations=0

# Random and damaged programs on the RTL: 10,000, or for SECONDS; and 2,000 damaged files for the readers.
SEED ?= 1
fuzz: $(STAMP)
	$(BIN)/python -m sim.fuzz.files --seed $(SEED)
	$(BIN)/python -m sim.fuzz --seed $(SEED) $(if $(SECONDS),--seconds $(SECONDS))

lint: $(STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/basedpyright

verilog: $(STAMP)
	$(BIN)/python -m rtl.verilog $(MACHINE) -o build/verilog

synth: PE = 8
synth: $(STAMP)
	$(BIN)/python -m rtl.synth $(MACHINE)

# The paper's tables and figures, beside what this machine does (docs/results.json, written by python -m sim.survey).
paper: $(STAMP)
	$(BIN)/python -m models.paper --out build/paper $(if $(wildcard docs/results.json),--machine docs/results.json)

# The documentation as a site: pages, tutorials with what they print, reference from docstrings. build/docs/html/index.html
docs: $(STAMP)
	mkdir -p build/docs
	rm -rf build/docs/source
	cp -a docs build/docs/source
	$(BIN)/python -m sphinx -q -j auto -b html build/docs/source build/docs/html
	@echo "documentation: build/docs/html/index.html"

# Handwritten digits on the generated Verilog.
demo: $(STAMP)
	$(BIN)/python -m sim.demo

# A board's whole system, simulated: memory controller, serial port, driver. NETWORK=sqnxt23v5 PE=8 takes minutes.
BOARD ?= ulx3s
board-sim: PE = 2
board-sim: NETWORK = tiny_all
board-sim: $(STAMP)
	$(BIN)/python -m squeezelerator.boards.board_sim $(NETWORK) --board $(BOARD) $(MACHINE)

# A bitstream with the whole system in build/boards/BOARD-peN.
bitstream: PE = 4
bitstream: $(STAMP)
	$(BIN)/python -m squeezelerator.boards.bitstream --board $(BOARD) $(MACHINE) --highest

clean:
	rm -rf build
