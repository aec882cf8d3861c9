"""Pictures as inputs, names of classes, accuracy."""

import numpy as np
import pytest
from PIL import Image

from squeezelerator.models import evaluate
from squeezelerator.models.pictures import classes, images
from squeezelerator.models.pictures.classes import ClassError
from squeezelerator.models.pictures.images import ImageError


def _picture(path, size=(300, 200), mode="RGB"):
    rng = np.random.default_rng(1)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    Image.fromarray(rng.integers(0, 256, shape).astype(np.uint8), mode).save(path)
    return path


def test_centre_crop_and_normalisation(tmp_path):
    pixels = np.zeros((256, 300, 3), np.uint8)
    pixels[:, :, 0], pixels[:, :, 2] = 255, np.arange(300) % 256
    Image.fromarray(pixels).save(tmp_path / "a.png")
    x = images.load(tmp_path / "a.png", (3, 224, 224), "imagenet")
    assert x.shape == (3, 224, 224)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x[0], (1 - 0.485) / 0.229, rtol=1e-5)
    np.testing.assert_allclose(x[2, 0], (np.arange(38, 262) % 256 / 255 - 0.406) / 0.225, rtol=1e-4, atol=1e-5)
    x = images.load(tmp_path / "a.png", (3, 227, 227), "caffe")
    np.testing.assert_allclose(x[2], 255 - 123)
    np.testing.assert_allclose(x[0, 5], np.arange(36, 263) % 256 - 104)


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (10, 500), (1, 1)])
@pytest.mark.parametrize("shape", [(3, 224, 224), (3, 227, 227), (1, 8, 8), (3, 33, 65)])
def test_any_size_fits(size, shape, tmp_path):
    _picture(tmp_path / "a.png", size)
    for name in images.PREPROCESSINGS:
        assert images.load(tmp_path / "a.png", shape, name).shape == shape


def test_grey_pictures_serve_both(tmp_path):
    _picture(tmp_path / "a.png", (8, 8), "L")
    grey = images.load(tmp_path / "a.png", (1, 8, 8), "unit")
    colour = images.load(tmp_path / "a.png", (3, 8, 8), "unit")
    np.testing.assert_array_equal(colour, np.repeat(grey, 3, axis=0))
    assert 0 <= grey.min() < grey.max() <= 1


def test_what_is_no_picture(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(ImageError) as error:
        images.load(tmp_path / "a.jpg", (3, 8, 8))
    assert str(error.value) == f"{tmp_path / 'a.jpg'}: is no picture"
    _picture(tmp_path / "b.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "b.png").read_bytes()[:1000])
    for path in (tmp_path / "cut.png", tmp_path / "none.png", tmp_path):
        with pytest.raises(ImageError, match="cannot be read as a picture: .") as error:
            images.load(path, (3, 8, 8))
        assert "\n" not in str(error.value)
    with pytest.raises(ImageError, match="the network's input has 4"):
        images.load(tmp_path / "b.png", (4, 8, 8))
    with pytest.raises(ImageError, match="unknown preprocessing 'x'; there are imagenet, caffe, unit"):
        images.load(tmp_path / "b.png", (3, 8, 8), "x")


def test_folders(tmp_path):
    with pytest.raises(ImageError, match="holds no pictures"):
        images.load_folder(tmp_path, (3, 8, 8))
    with pytest.raises(ImageError, match="is no folder of pictures"):
        images.load_folder(tmp_path / "none", (3, 8, 8))
    for number in range(7):
        _picture(tmp_path / f"{number}.PNG", (9, 9))
    (tmp_path / "notes.txt").write_text("no picture")
    assert len(images.load_folder(tmp_path, (3, 8, 8))) == 7
    assert len(images.load_folder(tmp_path, (3, 8, 8), limit=3)) == 3


def test_labels(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("file,index\na.png,3\nb.png,0\n")
    assert images.read_labels(path) == [("a.png", 3), ("b.png", 0)]
    for text in ("file,index\na.png,x\n", "name,index\na,1\n", "file,index\na.png\n"):
        path.write_text(text)
        with pytest.raises(ImageError, match="must be a CSV with the columns file and index"):
            images.read_labels(path)


def test_classes(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text("index,wnid,name\n1,n2,dog\n0,n1,cat\n")
    names = classes.load_classes(path)
    assert names == ["cat", "dog"]
    assert list(classes.top([1, 5, 5, 7, 0], 3)) == [3, 1, 2]
    lines = classes.top_lines(np.array([16, 64], np.int16), names, frac=4)
    assert [line.split() for line in lines] == [["1.", "dog", "(class", "1)", "4.0000"], ["2.", "cat", "(class", "0)", "1.0000"]]
    assert classes.top_lines([0.5])[0].split() == ["1.", "class", "0", "0.5000"]
    for text in ("index,name\n0,a\n2,b\n", "index,name\nx,a\n", "name\na\n", "index,name\n"):
        path.write_text(text)
        with pytest.raises(ClassError) as error:
            classes.load_classes(path)
        assert "\n" not in str(error.value)
    with pytest.raises(ClassError, match="cannot be read"):
        classes.load_classes(tmp_path / "none.csv")


def test_accuracy():
    found = evaluate.accuracy([[1, 2, 3, 4, 5, 6], [9, 8, 7, 6, 5, 4]], [1, 4])
    assert (found.top1, found.top5, found.count) == (1, 1, 2)
    assert str(found) == "top-1 1 / top-5 1 of 2"


def test_command_line_needs_data(capsys, monkeypatch):
    monkeypatch.delenv("DATA", raising=False)
    assert evaluate.main(["squeezenet1_1", "--weights", "none.npz", "--data", "nowhere"]) == 2
    assert capsys.readouterr().err == "python -m models.evaluate: none.npz: cannot be read: No such file or directory\n"
    assert evaluate.main(["squeezenet1_1", "--weights", "none.npz", "--data", "nowhere", "--jobs", "0"]) == 2
    assert capsys.readouterr().err == "python -m models.evaluate: --jobs must be at least 1, not 0\n"
    with pytest.raises(SystemExit, match="2"):
        evaluate.main(["squeezenet1_1", "--weights", "none.npz"])
    assert capsys.readouterr().err == "python -m models.evaluate: --data DIR is needed (or the environment variable DATA)\n"
