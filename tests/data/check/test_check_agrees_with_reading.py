"""What passes the check can be read for training and evaluation."""

import copy

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genvis.data.annotations.youtube_vis import load_youtube_vis
from genvis.data.check import check_annotations
from tests.data.convert.sample_sets import good_content, write_json

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 99),
    st.sampled_from([1e9, 0.5, "", "x", "1", "../x", [], [None], {}, [[0, 0, 9, 0, 9, 9]], [[1, 2]]]),
    st.sampled_from([{"size": [48, 64], "counts": [3072]}, {"size": [48, 64], "counts": "oo"}, {"size": [64, 48]}]),
)


def places(value, path=()):
    """Return the paths to everything within a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


@st.composite
def damaged(draw):
    """Draw a good file in which a few values are replaced or removed."""
    content = copy.deepcopy(good_content())
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in places(content) if path]))
        holder = content
        for key in path[:-1]:
            holder = holder[key]
        if draw(st.booleans()):
            holder[path[-1]] = copy.deepcopy(draw(VALUES))
        else:
            del holder[path[-1]]
    return content


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=damaged())
def test_a_file_that_passes_can_be_loaded(content, tmp_path_factory):
    path = write_json(tmp_path_factory.mktemp("damaged") / "a.json", content)
    if ("videos" in content or "images" in content) and check_annotations(path).passed:
        annotations = load_youtube_vis(path)
        for index in range(len(annotations)):
            annotations.masks(index)
