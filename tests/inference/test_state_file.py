"""Files of saved states: tensors that are read lie in memory as those that were never saved."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from genvis.fingerprint import Fingerprint
from genvis.inference.state_file import read_state, write_state

FINGERPRINT = Fingerprint("test", model="a")


@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_tensors_are_read_as_they_were_and_aligned_as_new_ones(sizes, tmp_path_factory):
    path = tmp_path_factory.mktemp("state") / "camera.session"
    tensors = {f"{place}": torch.rand(size) for place, size in enumerate(sizes)} | {"flag": torch.tensor([True])}
    write_state(path, tensors, {"frames": 3}, fingerprint=FINGERPRINT)
    found, facts = read_state(path, FINGERPRINT, remedy="")
    assert facts == {"frames": 3}
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor)
        # At another alignment, vectorised sums are made in another order: the last bit of a score would differ.
        assert found[name].data_ptr() % 64 == 0
