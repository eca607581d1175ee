"""No field of the schema is ignored in silence.

Of each field there is an example, a net, a solver or a file that states it, of which something
changes when the field is taken away: a number, a shape, a refusal, a line of the log.  What is
without effect in Caffe too is listed, with the reason.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations, islice
from pathlib import Path

import pytest

import tinynet.torchcaffe as caffe
from tests.torchcaffe.every_field import files, nets, old_formats, solvers
from tests.torchcaffe.every_field.observing import Example, Seen, Where, same
from tests.torchcaffe.every_field.without_effect import WITHOUT_EFFECT
from tinynet.caffeformat import schema

pytestmark = pytest.mark.usefixtures("logged")

MOST = 40  # examples tried per field
DOUBLES = """
import tinynet.torchcaffe as caffe

class Doubles(caffe.Layer):
    def setup(self, bottom, top):
        self.factor = float(self.param_str or 2)
    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)
    def forward(self, bottom, top):
        top[0].data[...] = self.factor * bottom[0].data
"""


class Examples:
    """The examples by the fields that they state; each is observed once as it is."""

    def __init__(self, folder: Path) -> None:
        self.stating: dict[tuple[str, str], list[tuple[Example, Where]]] = defaultdict(list)
        self._seen: dict[int, Seen] = {}
        for example in self._all(folder):
            for field, where in example.fields():
                self.stating[field].append((example, where))

    def _all(self, folder: Path) -> Iterator[Example]:
        yield from nets.general()
        yield from nets.python("layer_of_this_test")
        yield from nets.memory()
        for kind in (files.data, files.records, files.states, files.hdf5, files.infogain):
            yield from kind(folder)
        yield from files.images(folder)
        yield from files.windows(folder)
        yield from solvers.solvers(folder)
        yield from old_formats.old_formats()
        yield from nets.layers()

    def shows(self, field: tuple[str, str]) -> bool:
        """Whether an example's observation changes without the field."""
        for example, where in islice(self.stating[field], MOST):
            if id(example.message) not in self._seen:
                self._seen[id(example.message)] = example.observe(example.message)
            without = example.observe(example.without(where))
            if not same(self._seen[id(example.message)], without):
                return True
        return False

    def confused(self, field: tuple[str, str], values: Iterable[int]) -> set[tuple[int, int]]:
        """Pairs of values of an enum between which no example makes a difference."""
        pairs = set(combinations(sorted(values), 2))
        for example, where in islice(self.stating[field], MOST):
            if not pairs:
                break
            numbers = {number for pair in pairs for number in pair}
            seen = {n: example.observe(example.with_value(where, n)) for n in numbers}
            pairs = {(one, two) for one, two in pairs if same(seen[one], seen[two])}
        return pairs


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    folder = tmp_path_factory.mktemp("fields")
    (folder / "layer_of_this_test.py").write_text(DOUBLES)
    sys.path.insert(0, str(folder))
    (folder / "small.prototxt").write_text(solvers.NET)
    caffe.set_random_seed(4)
    caffe.Net(folder / "small.prototxt", caffe.TRAIN).save(folder / "small.caffemodel")
    yield Examples(folder)
    sys.path.remove(str(folder))
    sys.modules.pop("layer_of_this_test", None)


@pytest.mark.parametrize("message", schema.MESSAGES)
def test_every_field_is_honoured_or_refused_or_without_effect_in_caffe(
    message: str, examples: Examples
) -> None:
    ignored = []
    for field in schema.MESSAGES[message].DESCRIPTOR.fields:
        shown = examples.shows((message, field.name))
        if f"{message}.{field.name}" in WITHOUT_EFFECT:
            assert not shown, f"{message}.{field.name} has an effect: take it out of the list"
        elif not shown:
            ignored.append(field.name)
    assert not ignored


ENUMS = {
    f"{name}.{field.name}": [value.number for value in field.enum_type.values]
    for name, message in schema.MESSAGES.items()
    for field in message.DESCRIPTOR.fields
    if field.enum_type is not None and f"{name}.{field.name}" not in WITHOUT_EFFECT
}


@pytest.mark.parametrize("name", ENUMS)
def test_every_value_of_an_enum_has_an_effect_of_its_own(name: str, examples: Examples) -> None:
    message, _, field = name.partition(".")
    assert len(ENUMS[name]) > 1
    assert not examples.confused((message, field), ENUMS[name])


def test_everything_listed_as_without_effect_is_a_field() -> None:
    fields = {
        f"{name}.{field.name}"
        for name, message in schema.MESSAGES.items()
        for field in message.DESCRIPTOR.fields
    }
    assert set(WITHOUT_EFFECT) <= fields
    assert all(len(reason) > 20 for reason in WITHOUT_EFFECT.values())
