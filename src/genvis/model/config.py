"""The configuration of a GenVIS, VITA or MinVIS model: sizes, mode and the numbers that its users need at inference."""

import math
from typing import TYPE_CHECKING, Any, ClassVar, Self

from transformers import EomtConfig, Mask2FormerConfig, PreTrainedConfig, RfDetrConfig

from genvis.categories import Categories, known_categories
from genvis.errors import InputError
from genvis.model.preprocessing import Preprocessing

# Cells on a side of the grid on which places of masks are compared.
PLACE_GRID = 8
# Numbers that say how a place moves: two each for its velocity, and for the way that it went unseen.
PLACE_MOTION = 4
# Of "no object" in the loss of all published models.
PUBLISHED_NO_OBJECT_WEIGHT = 0.1


class DetectorConfig(Mask2FormerConfig):
    """A transformers ``Mask2FormerConfig`` that knows that ResNet backbones serve as well as Swin."""

    backbones_supported = ["swin", "resnet"]  # noqa: RUF012 (transformers declares it without ClassVar)


# By model_type; a configuration without one is of a version that knew Mask2Former only.
DETECTOR_CONFIGS: dict[str, type[PreTrainedConfig]] = {
    "mask2former": DetectorConfig,
    "eomt": EomtConfig,
    "rf_detr": RfDetrConfig,
}

_METHODS = ("genvis", "vita", "minvis")
_MEMORY_READS = ("index", "global", "none")
_PROPAGATIONS = ("full", "occupancy", "gated", "motion")
_FRAME_READINGS = ("attention", "claims")
_COUNTS = (
    "num_instance_queries",
    "mask_feature_size",
    "num_attention_heads",
    "dim_feedforward",
    "object_decoder_layers",
    "clip_length",
    "size_divisibility",
    "min_size_test",
    "max_size_test",
    "detections_per_video",
)


class CategoryFields:
    """Categories of a model, from the fields of its configuration."""

    if TYPE_CHECKING:
        id2label: dict[int, str] | dict[str, str] | None
        categories_name: str
        category_ids: list[int] | tuple[int, ...] | None

    @property
    def num_classes(self) -> int:
        """K, the number of classes without "no object"."""
        return len(self.id2label or {})

    @property
    def categories(self) -> Categories:
        """The classes with their names and the data set's category ids."""
        labels = tuple(str(name) for _, name in sorted((self.id2label or {}).items()))
        return Categories(self.categories_name, tuple(self.category_ids or ()), labels)

    def check_categories(self) -> None:
        """Number the categories from 1 where no ids are given.

        Raises:
            InputError: If there are more or fewer ids than classes, or one is no whole number.
        """
        if self.category_ids is None:
            self.category_ids = list(range(1, self.num_classes + 1))
        if len(self.category_ids) != self.num_classes:
            raise InputError(f"There are {len(self.category_ids)} category ids for {self.num_classes} classes.")
        if not all(isinstance(number, int) for number in self.category_ids):
            raise InputError(f"category_ids are {str(self.category_ids)[:80]}: they must be whole numbers.")


class GenVISConfig(CategoryFields, PreTrainedConfig):
    """Everything that defines a network; nothing of files, training or one video.

    Attributes:
        detector: The frame-level detector: configuration of a transformers Mask2Former, EoMT or RF-DETR.
        method: ``"genvis"`` propagates instance queries from clip to clip (paper, section 3.2); ``"vita"`` takes the
            whole video as one clip; ``"minvis"`` has no tracker, its detections are matched from frame to frame.
        num_instance_queries: Q, the largest number of objects in a video.
        hidden_dim: C, channels of the tracker; the detector's queries and features may have others.
        mask_feature_size: C_m, channels of the tracker's mask embeddings.
        num_attention_heads: Heads of every attention of the tracker.
        dim_feedforward: Width of the tracker's feed-forward layers.
        encoder_layers: Layers of the object encoder.
        encoder_window_size: Frames per attention window of the object encoder (VITA); 0 attends globally (GenVIS).
        object_decoder_layers: Layers of the object decoder.
        propagate_queries: Whether a clip starts from the previous clip's instance prototypes (paper, Eq. 1).
        propagation: What the next clip starts from: ``"full"``, this clip's instance prototypes p as published;
            ``"occupancy"``, p only as far as a query holds an object (`occupancy_mixture`); ``"gated"``, a mixture of p
            and what this clip started from by a learned gate (`PropagationGate`), with ``memory_read="none"`` a state
            of constant size; ``"motion"``, only with claims, as ``"occupancy"``, and the place of a hidden object moves
            on as it moved (`PlaceMotion`).
        frame_reading: How instance queries read frame queries: by ``"attention"`` as published, or by ``"claims"``, for
            which they compete, by looks and by the places of masks (`ClaimingDecoder`). Claims are no part of the
            paper, and go without its memory. With ``propagation="occupancy"`` a query whose object is hidden remembers
            where it was, too.
        memory_read: How the instance prototype memory is read: by ``"index"`` (paper, section 3.3), ``"global"``
            (Table 5), or ``"none"`` for no memory.
        memory_clips: How many past clips the memory keeps; None keeps all, as in the paper.
        no_object_weight: The weight of "no object" in the loss that the tracker was trained with. The greater it was,
            the less it says that an object is visible; what is shown is as if it had been the published 0.1.
        clip_length: N_f, frames of a clip, with which the model was trained and which inference uses by default.
        pixel_mean: Mean of the RGB channels, 0..255, that is subtracted.
        pixel_std: Divisor of the RGB channels.
        size_divisibility: Frames are padded on the right and bottom to a multiple of this.
        min_size_test: Inference resizes a frame's shorter side to this many pixels.
        max_size_test: Inference keeps the longer side within this many pixels.
        resizing: Fields of `Preprocessing` in which the detector differs from the published GenVIS, for example
            ``{"rule": "square", "antialias": False}``; None for none.
        detections_per_video: How many (track, class) pairs a whole-video result holds at most.
        categories_name: Name of the categories, for example ``"ovis"``.
        category_ids: The data set's category id of each class.
        id2label: The name of each class.

    Raises:
        InputError: If widths, heads or modes contradict each other.
    """

    model_type = "genvis"
    sub_configs_defaults: ClassVar[dict[str, Any]] = {"detector": DetectorConfig}

    detector: dict[str, Any] | PreTrainedConfig | None = None
    method: str = "genvis"
    num_instance_queries: int = 100
    hidden_dim: int = 256
    mask_feature_size: int = 256
    num_attention_heads: int = 8
    dim_feedforward: int = 2048
    encoder_layers: int = 6
    encoder_window_size: int = 0
    object_decoder_layers: int = 3
    propagate_queries: bool = True
    propagation: str = "full"
    frame_reading: str = "attention"
    memory_read: str = "index"
    memory_clips: int | None = None
    no_object_weight: float = PUBLISHED_NO_OBJECT_WEIGHT
    clip_length: int = 1
    pixel_mean: list[float] | tuple[float, ...] = (123.675, 116.28, 103.53)
    pixel_std: list[float] | tuple[float, ...] = (58.395, 57.12, 57.375)
    size_divisibility: int = 32
    min_size_test: int = 360
    max_size_test: int = 1333
    resizing: dict[str, Any] | None = None
    detections_per_video: int = 10
    categories_name: str = ""
    category_ids: list[int] | tuple[int, ...] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        # What folders saved by version 0.1 call it.
        self.categories_name = kwargs.pop("label_set_name", self.categories_name)
        if isinstance(self.detector, dict):
            self.detector = _detector_config(self.detector)
        super().__post_init__(**kwargs)
        self._check()

    @property
    def detector_config(self) -> Any:
        """The detector's configuration, of one of `DETECTOR_CONFIGS`."""
        return self.detector

    @property
    def places(self) -> int:
        """P, the numbers that say where a mask is, which a tracker compares beside frame queries; 0 if it does not."""
        return PLACE_GRID**2 if self.method != "minvis" and self.frame_reading == "claims" else 0

    @property
    def place_state(self) -> int:
        """The numbers behind an instance query that say where its object was, and how it moves; 0 for none."""
        return self.places and self.places + (PLACE_MOTION if self.propagation == "motion" else 0)

    @property
    def preprocessing(self) -> Preprocessing:
        """Way from a frame to the detector's input."""
        try:
            return Preprocessing(
                short_side=self.min_size_test,
                max_size=self.max_size_test,
                divisor=self.size_divisibility,
                mean=_channels(self.pixel_mean),
                std=_channels(self.pixel_std),
                **(self.resizing or {}),
            )
        except TypeError:
            raise InputError(f"resizing is {self.resizing}, which is no set of fields of a preprocessing.") from None

    @property
    def detector_shares_categories(self) -> bool:
        """Whether the detector's own classes are those of the model: not below a tracker trained for others."""
        own = sorted((self.detector_config.id2label or {}).items())
        return tuple(str(label) for _, label in own) == self.categories.names

    def with_labels(self, labels: Categories) -> Self:
        """Return a copy whose classes are those of ``labels``; the detector's too."""
        fields = self.to_dict()
        id2label = dict(enumerate(labels.names))
        fields.update(id2label=id2label, label2id={name: index for index, name in id2label.items()})
        fields["detector"].update(id2label=id2label, label2id=fields["label2id"])
        fields.update(categories_name=labels.name, category_ids=list(labels.ids))
        return type(self)(**fields)

    @classmethod
    def from_recipe(cls, name: str) -> Self:
        """Return the configuration of a published model, for example ``"ovis-r50-online"`` or ``"vita-coco-swinl"``.

        Args:
            name: ``DATA-BACKBONE-MODE`` for GenVIS and ``vita-DATA-BACKBONE`` for VITA, with DATA one of ``ytvis19``,
                ``ytvis21``, ``ovis`` (and ``coco`` for VITA), BACKBONE ``r50`` or ``swinl``, MODE ``online`` or
                ``semi-online``. `genvis.model.published_models.recipe_names` lists all 20.

        Raises:
            InputError: If there is no recipe of that name.
        """
        from genvis.model.published_models import recipe_fields

        fields = recipe_fields(name)
        labels = known_categories(fields.pop("categories"))
        return cls(**fields).with_labels(labels)

    def _check(self) -> None:
        for name, known in (
            ("method", _METHODS),
            ("memory_read", _MEMORY_READS),
            ("propagation", _PROPAGATIONS),
            ("frame_reading", _FRAME_READINGS),
        ):
            if getattr(self, name) not in known:
                raise InputError(f"{name} is '{getattr(self, name)}'; it must be one of {', '.join(known)}.")
        for name in _COUNTS:
            value = getattr(self, name)
            if value < 1:
                raise InputError(f"{name} is {value}; it must be at least 1.")
        if not 0 < self.no_object_weight < math.inf:
            raise InputError(f"no_object_weight is {self.no_object_weight}; it must be more than 0.")
        _ = self.preprocessing  # Checks its fields.
        if self.hidden_dim % self.num_attention_heads:
            raise InputError(f"hidden_dim {self.hidden_dim} is no multiple of {self.num_attention_heads} heads.")
        self.check_categories()
        if self.encoder_window_size < 0 or self.encoder_layers < 0:
            raise InputError("encoder_window_size and encoder_layers must be 0 or more.")
        if self.memory_clips is not None and self.memory_clips < 1:
            raise InputError(f"memory_clips is {self.memory_clips}; it must be at least 1, or None for all.")
        if self.memory_read != "none" and not self.propagate_queries and self.method == "genvis":
            raise InputError(
                "The memory adds to propagated queries: set memory_read to 'none' or propagate_queries on."
            )
        if self.places and (self.memory_read != "none" or self.propagation == "gated" or self.method == "vita"):
            raise InputError(
                "frame_reading 'claims' has no memory and no gate, and goes from clip to clip: set memory_read to "
                "'none', propagation to 'full', 'occupancy' or 'motion' and method to 'genvis', or frame_reading to "
                "'attention'."
            )
        if self.propagation == "motion" and not self.places and self.method == "genvis":
            raise InputError(
                "propagation 'motion' moves the places that claims compare: set frame_reading to 'claims', or "
                "propagation to 'full'."
            )
        if self.propagation != "full" and not self.propagate_queries:
            raise InputError(
                f"propagation '{self.propagation}' says how queries are propagated, but none are: set propagation to "
                "'full' or propagate_queries on."
            )


def _detector_config(fields: dict[str, Any]) -> PreTrainedConfig:
    """Return the configuration of a detector from its fields, by their ``model_type``.

    Raises:
        InputError: If no detector is of that type.
    """
    model_type = fields.get("model_type", "mask2former")
    if model_type not in DETECTOR_CONFIGS:
        raise InputError(f"There is no detector of type '{model_type}': take {', '.join(DETECTOR_CONFIGS)}.")
    return DETECTOR_CONFIGS[model_type](**fields)


def _channels(values: list[float] | tuple[float, ...]) -> tuple[float, float, float]:
    """Return the values of the RGB channels as a tuple of three."""
    if len(values) != 3:
        raise InputError(f"pixel_mean and pixel_std need a value for each of three channels, not {list(values)}.")
    red, green, blue = values
    return float(red), float(green), float(blue)
