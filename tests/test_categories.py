import pytest

from genvis.categories import coco_to, known_categories, known_category_sets
from genvis.errors import InputError


@pytest.mark.parametrize(
    ("name", "size"),
    [("youtube_vis_2019", 40), ("youtube_vis_2021", 40), ("youtube_vis_2022", 40), ("ovis", 25), ("coco", 80)],
)
def test_sizes_of_the_published_categories(name, size):
    assert len(known_categories(name)) == size


def test_every_coco_map_leads_from_a_coco_category_to_one_of_the_target():
    coco = known_categories("coco")
    for name in set(known_category_sets()) - {"coco"}:
        target = known_categories(name)
        for source_id, target_id in coco_to(name).items():
            assert source_id in coco.ids
            assert target_id in target.ids


def test_class_of_counts_from_zero_over_gaps():
    assert known_categories("coco").ids.index(13) == 11


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(InputError, match="ovis"):
        known_categories("imagenet")
    with pytest.raises(InputError, match="ovis"):
        coco_to("imagenet")
