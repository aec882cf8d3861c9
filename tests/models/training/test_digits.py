"""Training: its parts, a short run with resumption, and the digits' network that is shipped."""

import numpy as np
import pytest
import torch
from PIL import Image

from squeezelerator.models import digits, evaluate, importers
from squeezelerator.models.arithmetic import float_network, golden
from squeezelerator.models.arithmetic.torch_network import torch_network
from squeezelerator.models.pictures import images
from squeezelerator.models.pictures.folders import DataError, Pictures, find_pictures
from squeezelerator.models.quantisation.formats import quantise_input
from squeezelerator.models.train import main, parser, train
from squeezelerator.models.training.state import Masks, TrainError, fit_batch_norms, load_into, polynomial_rate, ramped_sparsity
from squeezelerator.models.training.state import float_network as float_of

torch.set_num_threads(1)


def test_schedule():
    assert polynomial_rate(0.04, 1.0, 0, 100) == 0.04
    assert polynomial_rate(0.04, 1.0, 50, 100) == pytest.approx(0.02)
    assert polynomial_rate(0.4, 2.0, 50, 100) == pytest.approx(0.1)
    assert polynomial_rate(0.4, 1.0, 0, 100, warmup=4) == pytest.approx(0.1)
    assert polynomial_rate(0.4, 1.0, 100, 100) == 0
    shares = [ramped_sparsity(0.6, step, 30) for step in range(31)]
    assert shares == sorted(shares)
    assert (shares[0], shares[20], shares[30]) == (0, pytest.approx(0.6), pytest.approx(0.6))


def test_masks_keep_weights_at_zero():
    model = torch_network("tiny_all")
    masks = Masks(model)
    masks.update(0.5)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1.0)
    masks.apply()
    layers = [layer for layer in model.table.layers if layer.has_weights]
    zeros = [int((model.get_parameter(f"layers.{layer.name}.conv.weight") == 0).sum()) for layer in layers]
    assert zeros == [0, *(round(0.5 * layer.params) for layer in layers[1:])]


def test_weights_go_into_a_model_and_out_again():
    net = digits.float_digits()
    model = torch_network(digits.NETWORK).eval()
    load_into(model, net)
    x = digits.test_digits(1)[0][0]
    with torch.no_grad():
        scores = model(torch.from_numpy(x)[None]).reshape(-1).numpy()
    np.testing.assert_allclose(scores, float_network.scores(net, x), rtol=1e-4, atol=1e-4)
    fit_batch_norms(model, torch.from_numpy(np.stack(digits.test_digits(50)[0])))
    with torch.no_grad():
        again = model.eval()(torch.from_numpy(x)[None]).reshape(-1).numpy()
    np.testing.assert_allclose(again, scores, rtol=1e-3, atol=1e-3)
    again = float_of(model)
    for name, numbers in net.params.items():
        np.testing.assert_allclose(again.params[name].weight, numbers.weight, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The digits 0, 1 and 2 as a folder of pictures: 60 to train and 15 to validate."""
    path = tmp_path_factory.mktemp("digits")
    pixels, labels = digits.load_digits()
    for part, chosen, count in zip(("train", "val"), digits.split(labels), (20, 5), strict=True):
        for label in range(3):
            target = path / part / str(label)
            target.mkdir(parents=True)
            for index in [index for index in chosen if labels[index] == label][:count]:
                Image.fromarray(pixels[index]).save(target / f"{index}.png")
    return path


def _options(folder, output, *more):
    arguments = ["digits", "--data", str(folder), "-o", str(output), "--batch", "10", "--rate", "0.05", *more]
    return parser().parse_args([*arguments, "--device", "cpu"])


def test_training_learns_prunes_and_resumes(folder, tmp_path):
    said = []
    net, in_float, in_16_bits = train(_options(folder, tmp_path / "a", "--epochs", "4", "--prune", "0.3"), said.append)
    assert sum(line.startswith("epoch") for line in said) == 4
    assert in_float.count == in_16_bits.count == 15
    assert np.count_nonzero(net.params["conv_last"].weight == 0) == round(0.3 * net.params["conv_last"].weight.size)
    saved = importers.load_weights(tmp_path / "a" / "weights.npz", net.table)
    np.testing.assert_array_equal(saved.params["conv1"].weight, net.params["conv1"].weight)
    # The same training in two halves ends with the same weights.
    def stop(line):
        if line.startswith("epoch    2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(_options(folder, tmp_path / "b", "--epochs", "4", "--prune", "0.3"), stop)
    resumed, _, _ = train(_options(folder, tmp_path / "b", "--epochs", "4", "--prune", "0.3", "--resume"), said.append)
    np.testing.assert_array_equal(resumed.params["conv_last"].weight, net.params["conv_last"].weight)


def test_training_goes_on_from_weights(folder, tmp_path):
    options = _options(folder, tmp_path, "--epochs", "1", "--weights", str(digits.WEIGHTS), "--rate", "0.001")
    _, in_float, in_16_bits = train(options, lambda line: None)
    assert in_float.top1 >= 14
    assert in_16_bits.top1 >= 14


@pytest.mark.parametrize(("more", "message"), [
    (["--epochs", "0"], "--epochs must be at least 1, not 0"),
    (["--prune", "1"], "--prune must be 0 or more and below 1, not 1.0"),
    (["--device", "abacus"], "--device abacus: "),
    (["--rate", "0"], "--rate must be above 0, not 0.0"),
    (["--power", "nan"], "--power must be 0 or more, not nan"),
    (["--momentum", "-1"], "--momentum must be 0 or more, not -1.0"),
    (["--shift", "-1"], "--shift must be 0 or more, not -1"),
    (["--limit-16-bit", "0"], "--limit-16-bit must be at least 1, not 0"),
    (["-o", "/dev/null/t"], "/dev/null/t: cannot be written: Not a directory"),
    (["--weights", "none.pth"], "none.pth: cannot be read"),
    (["--resume"], "cannot be read: No such file or directory"),
])  # fmt: skip
def test_impossible_options(more, message, folder, tmp_path, capsys):
    assert main(["digits", "--data", str(folder), "-o", str(tmp_path), *more]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_picture_that_is_none(workers, folder, tmp_path, capsys):
    data = tmp_path / "data"
    for part in ("train", "val"):
        (data / part / "a").mkdir(parents=True)
        (data / part / "a" / "x.png").write_text("no picture")
    assert main(["digits", "--data", str(data), "-o", str(tmp_path / "o"), "--epochs", "1", "--workers", workers]) == 2
    assert capsys.readouterr().err == f"python -m models.train: {data / 'train' / 'a' / 'x.png'}: is no picture\n"
    assert not (tmp_path / "o").exists()


def test_unusable_data_and_checkpoints(folder, tmp_path, capsys):
    assert main(["no_network", "--data", str(folder)]) == 2
    assert "unknown network 'no_network'" in capsys.readouterr().err
    assert main(["digits", "--data", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err == f"python -m models.train: {tmp_path / 'nowhere'}: is no folder\n"
    (tmp_path / "a" / "checkpoint.pt").parent.mkdir()
    (tmp_path / "a" / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(TrainError, match="is no checkpoint of this program"):
        train(_options(folder, tmp_path / "a", "--resume"))


def test_folders_of_pictures(folder, tmp_path):
    training, validation, names = find_pictures(folder)
    assert (len(training), len(validation), names) == (60, 15, ["0", "1", "2"])
    training, validation, _ = find_pictures(folder / "train")
    assert (len(training), len(validation)) == (54, 6)
    with pytest.raises(DataError, match="holds no folders of pictures"):
        find_pictures(tmp_path)
    (tmp_path / "train" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match="cat: holds no pictures"):
        find_pictures(tmp_path)
    (tmp_path / "train" / "cat" / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="beside train there must be val"):
        find_pictures(tmp_path)


def test_displacements_depend_on_seed_and_epoch(folder):
    items = find_pictures(folder)[0]
    pictures = [Pictures(items, (1, 8, 8), "unit", shift=1, seed=seed) for seed in (1, 1, 2)]
    shown = [torch.stack([item[0] for item in pictures[which]]) for which in range(3)]
    assert torch.equal(shown[0], shown[1])
    assert not torch.equal(shown[0], shown[2])
    pictures[0].set_epoch(1)
    assert not torch.equal(torch.stack([item[0] for item in pictures[0]]), shown[0])


def test_shipped_digits():
    """97% or more of the test digits in float and in 16 bits, from a file of less than 200 KB."""
    assert digits.WEIGHTS.stat().st_size < 200_000
    inputs, _, labels = digits.test_digits()
    assert len(inputs) == 355
    net, quantised = digits.float_digits(), digits.quantised_digits()
    for rank, network in ((evaluate.rank_float, net), (evaluate.rank_quantised, quantised)):
        found = evaluate.accuracy([rank(network, x) for x in inputs], labels)
        assert found.top1 >= 0.97 * found.count
    assert not quantised.synthetic
    assert golden.run(quantised, quantise_input(quantised, inputs[0]))["fc10"].shape == (10, 1, 1)


def test_split_and_export(tmp_path):
    _, labels = digits.load_digits()
    training, test = digits.split(labels)
    assert not set(training) & set(test)
    assert len(training) + len(test) == len(labels)
    assert digits.main([str(tmp_path)]) == 0
    assert len(find_pictures(tmp_path)[1]) == len(test)
    # A digit's picture is prepared as its pixels are.
    pixels = digits.load_digits()[0][test[0]]
    x = images.load(tmp_path / "val" / str(labels[test[0]]) / f"{test[0]:04d}.png", (1, 8, 8), digits.PREPROCESSING)
    np.testing.assert_array_equal(x, digits.network_input(pixels))
    assert len(digits.picture(pixels)) == 8
