"""The command line of ``python -m models.quantise``: float weights in, 16-bit weights and a report out."""

import sys
from collections.abc import Sequence

from squeezelerator.common.command_line import OneLineParser, OptionError, command, program_name
from squeezelerator.common.files import check_writable
from squeezelerator.models.pictures import images
from squeezelerator.models.sources import load_source


@command("models.quantise")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = OneLineParser(prog=program_name("models.quantise"), description="Quantise a network to 16 bits.")
    parser.add_argument("network", help="a network's name, a layer table (.csv) or an ONNX file")
    parser.add_argument("--weights", help="float weights (.npz, .pth, .safetensors, .net, .sqz)")
    parser.add_argument("--calibrate", metavar="PATH", help="folder of pictures, or .npy, .npz of inputs; without it noise stands in")
    parser.add_argument("--preprocessing", metavar="NAME[,mean=M/M/M][,std=S/S/S][,scale=S]",
                        help=f"of pictures: {', '.join(images.PREPROCESSINGS)}; default: what the weights need")  # fmt: skip
    parser.add_argument("-o", "--output", metavar="FILE.npz", help="write the quantised weights")
    options = parser.parse_args(arguments)
    if options.output:
        check_writable(options.output)
    source = load_source(options.network, options.weights, calibrate=options.calibrate, preprocessing=options.preprocessing)
    for line in source.warnings():
        print(f"warning: {line}", file=sys.stderr, flush=True)
    if source.net is None:
        kind = "synthetic: name float weights with --weights FILE" if source.quantised.synthetic else "quantised already"
        raise OptionError(f"{options.network}: the weights are {kind}")
    print("\n".join(source.report()))
    if options.output:
        source.quantised.save_npz(options.output, source.preprocessing)
    return 0


if __name__ == "__main__":
    sys.exit(main())
