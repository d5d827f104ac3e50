import pytest

from genvis.errors import InputError
from genvis.scaling.listed_videos import key_of, list_videos
from genvis.scaling.shards import Shard, array_of, parsed_shard, shard_of

SLURM = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_MAX": "12"}


def test_every_video_is_in_one_share_and_stays_there_when_the_list_grows():
    keys = [key_of(f"/data/{number}.mp4") for number in range(1000)]
    shares = [[key for key in keys if Shard(index, 7).has(key)] for index in range(7)]
    assert sorted(key for share in shares for key in share) == sorted(keys)
    assert all(100 < len(share) < 190 for share in shares)
    # Known values: machines and versions must agree on them.
    assert key_of("/data/1.mp4") == "9b5238f0fe97abeb"
    assert shard_of("9b5238f0fe97abeb", 7) == int("9b5238f0fe97abeb", 16) % 7


def test_shards_as_typed_count_from_one():
    assert parsed_shard("3/64") == Shard(2, 64, first=1)
    assert str(parsed_shard("1/1")) == "shard 1 of 1"


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "x", "1", "1/2/3", "-1/4", "1/9999999"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(InputError, match="--shard"):
        parsed_shard(text)


def test_a_slurm_array_may_begin_anywhere():
    assert parsed_shard("auto", environment=SLURM | {"SLURM_ARRAY_TASK_COUNT": "8"}) == Shard(2, 8, first=5)


def test_a_slurm_array_of_some_tasks_has_the_shards_of_the_whole_one():
    some = SLURM | {"SLURM_ARRAY_TASK_COUNT": "3"}  # --array=5,7,12
    with pytest.raises(InputError, match=r"3 tasks of the numbers 5 to 12.*--shard N/M"):
        parsed_shard("auto", environment=some)
    assert parsed_shard("auto", environment=some, known=(64, 0)) == Shard(7, 64, first=0)
    # Another, longer array is no part of the earlier one.
    whole = SLURM | {"SLURM_ARRAY_TASK_COUNT": "8"}
    assert parsed_shard("auto", environment=whole, known=(6, 5)) == Shard(2, 8, first=5)


def test_kubernetes_needs_the_count():
    assert parsed_shard("auto", environment={"JOB_COMPLETION_INDEX": "0", "GENVIS_SHARD_COUNT": "4"}) == Shard(0, 4, 0)
    with pytest.raises(InputError, match="GENVIS_SHARD_COUNT"):
        parsed_shard("auto", environment={"JOB_COMPLETION_INDEX": "0"})
    with pytest.raises(InputError, match="'four', and no number"):
        parsed_shard("auto", environment={"JOB_COMPLETION_INDEX": "0", "GENVIS_SHARD_COUNT": "four"})
    with pytest.raises(InputError, match="needs a Slurm array"):
        parsed_shard("auto", environment={})


def test_arrays_are_written_as_slurm_takes_them():
    assert array_of([9, 3, 8, 7, 12, 12]) == "3,7-9,12"
    assert array_of([]) == ""


def test_videos_of_one_name_have_folders_that_do_not_depend_on_their_order(tmp_path):
    paths = [tmp_path / day / "cam.mp4" for day in ("1", "2")] + [tmp_path / "other.mp4"]
    folders = {video.source: video.folder for video in list_videos(paths)}
    assert folders == {video.source: video.folder for video in list_videos(paths[::-1])}
    assert len(set(folders.values())) == 3
    assert folders[tmp_path / "other.mp4"] == "other"
    assert all(folders[path].startswith("cam-") for path in paths[:2])
    assert len(list_videos([paths[0], paths[0]])) == 1


def test_a_video_elsewhere_is_known_without_its_credentials():
    signed = "https://me:secret@host/a.mp4?id=5&X-Amz-Signature=abc&X-Amz-Expires=60"
    assert key_of(signed) == key_of("https://host/a.mp4?id=5")
    assert key_of(signed) != key_of("https://host/a.mp4?id=6")
    (video,) = list_videos([signed])
    assert video.label == "https://host/a.mp4"
    assert video.folder == "a"
