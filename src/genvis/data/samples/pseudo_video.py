"""Videos made of single images: the same image again and again, each time augmented differently (section 4.2)."""

from dataclasses import dataclass, replace

from genvis.data.samples.sample import VideoSample
from genvis.data.samples.video_dataset import VideoSource
from genvis.data.sampling.random_key import RandomKey
from genvis.data.sampling.training_source import VideoTransform, augment, keep_visible
from genvis.errors import InputError


def repeat_image(sample: VideoSample, frames: int) -> VideoSample:
    """Return an image as a video that stands still.

    Args:
        sample: One frame.
        frames: T, the number of frames of the result. They share memory until they are augmented.

    Raises:
        InputError: If the sample has more than one frame.
    """
    if sample.frames.shape[0] != 1:
        raise InputError(
            f"A pseudo video is made of one image, but sample {sample.video_id} of '{sample.source}' has "
            f"{sample.frames.shape[0]} frames: sample clips of it instead."
        )
    return replace(
        sample, frames=sample.frames.expand(frames, -1, -1, -1), masks=sample.masks.expand(-1, frames, -1, -1)
    )


@dataclass(frozen=True)
class PseudoVideos:
    """Pseudo videos of the images of a data set.

    Attributes:
        images: Videos of one frame each, as :func:`genvis.data.annotations.coco.load_coco` gives them.
        frames: T, the number of frames of a sample.
        transform: What makes the frames different, for example
            :func:`genvis.data.samples.transforms.pseudo_video_transform`.
    """

    images: VideoSource
    frames: int
    transform: VideoTransform | None

    def draw(self, key: RandomKey) -> VideoSample | None:
        """Return a pseudo video of the image whose turn it is, or None if it shows no object."""
        image = keep_visible(self.images.sample(key.choose(len(self.images)), [0]))
        if image is None:
            return None
        return keep_visible(augment(repeat_image(image, self.frames), self.transform, key.generator()))
