"""A recipe: everything that defines a training run, as typed values that are the YAML file and the command line."""

from dataclasses import dataclass, field
from typing import Any, Literal

from genvis.training.recipe.data_options import CacheOptions, DataOptions
from genvis.training.recipe.loss_options import LossOptions

Stage = Literal["detector", "vita", "genvis"]
FirstTracker = Literal["init", "new"]
FirstHeads = Literal["init", "detector"]
FirstMemory = Literal["init", "silent"]
FirstAttention = Literal["init", "looks"]


@dataclass
class ModelOptions:
    """The network and its first weights.

    Args:
        name: A published model's name, for example `ovis-r50-online`, from which the configuration starts.
        config: Fields of the model's configuration that replace those of the named model or of `init`.
        init: Weights to start from: a model folder, a bundled name, a published .pth file, or a Hub id or folder of
            a GenVIS model or of a Mask2Former, which becomes the detector.
        backbone: Without `init`: weights of the backbone alone, a Hub id or a folder of transformers.
        categories: Name of known categories, or an annotation file (JSON) that has them; by default that of the
            named model or of `init`. If the classes differ from those of the weights, the class heads are newly
            initialised.
        tracker: First weights of the tracker: `init` takes those of `init`; `new` takes only the detector of `init` and
            begins with a new tracker, as where the detector has changed.
        heads: First weights of the tracker's heads: `init` takes those of `init`, or new ones, as published; `detector`
            takes the detector's, so that classes and masks need not be learned again. The class head stays as it is
            where the classes are others.
        memory: First weights of the prototype memory: `init` takes those of `init`, or new ones, as published; `silent`
            starts with a memory that adds nothing to the queries, so that a tracker starts as it would without one.
        attention: First weights of the tracker's attention: `init` takes those of `init`, or new ones, as published;
            `looks` starts with instance queries that read the frame queries which they resemble. It is worth the more,
            the better frame queries tell objects apart (`loss.identity` in stage `detector`).
        freeze_backbone: Leave the detector's backbone as it is in the stages that train the detector: faster, and with
            few images often as good.
        freeze_batch_norm: Keep the statistics and the affine values of the backbone's batch norm, as for backbones
            that are pretrained; switch it off to train from scratch.
        compile: Compile the network with torch.compile.
    """

    name: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    init: str = ""
    backbone: str = ""
    categories: str = ""
    tracker: FirstTracker = "init"
    heads: FirstHeads = "init"
    memory: FirstMemory = "init"
    attention: FirstAttention = "init"
    freeze_backbone: bool = False
    freeze_batch_norm: bool = True
    compile: bool = False


@dataclass
class OptimizerOptions:
    """AdamW and its schedule.

    Args:
        learning_rate: The highest learning rate.
        backbone_multiplier: Factor of the learning rate for the backbone.
        weight_decay: For all weights except those of norms, embeddings and numbers that begin with a meaning, such as
            the bias of a gate, which have none.
        epsilon: Of AdamW: gradients far smaller than this hardly move a weight.
        schedule: `steps` multiplies with gamma at each milestone, `one_cycle` rises for a share of the run and then
            falls to almost zero as a cosine, `constant` does neither.
        milestones: Steps at which `steps` lowers the rate.
        gamma: Factor at each milestone.
        warmup_steps: Steps in which the rate rises linearly from warmup_factor times its value (not for `one_cycle`).
        warmup_factor: Where the warm-up starts; 1 is no warm-up.
        rising_share: Share of the steps in which `one_cycle` rises.
        clip_norm: Gradients of the whole model are scaled down to this norm; 0 does not clip.
    """

    learning_rate: float = 5e-5
    backbone_multiplier: float = 0.1
    weight_decay: float = 0.05
    epsilon: float = 1e-8
    schedule: Literal["steps", "one_cycle", "constant"] = "steps"
    milestones: list[int] = field(default_factory=list)
    gamma: float = 0.1
    warmup_steps: int = 10
    warmup_factor: float = 1.0
    rising_share: float = 0.1
    clip_norm: float = 0.01


@dataclass
class RunOptions:
    """Length, devices, logs and checkpoints of the run.

    Args:
        output: Folder of checkpoints, logs and the finished model.
        max_steps: Optimizer steps.
        resume: Continue from the newest checkpoint in the output folder, if there is one.
        seed: Of data, points and initial weights.
        accelerator: `auto`, `cpu`, `gpu`, ...
        devices: Processes on each machine, `auto` for one per device.
        nodes: Machines.
        precision: `32-true`, `16-mixed` or `bf16-mixed`.
        accumulate: Batches whose gradients are summed for one step.
        threads: CPU threads of each process; 0 leaves PyTorch's choice.
        checkpoint_steps: Steps between two checkpoints for resuming; 0 for none by steps.
        checkpoint_minutes: Minutes between two checkpoints for resuming; 0 for none by time.
        validate_steps: Steps between two measurements of AP on the validation set; 0 never measures.
        log_steps: Steps between two lines of the log.
        picture_steps: Steps between two pictures of validation samples in the log; 0 draws none.
        ema_decay: Decay per step of the exponential moving average of the weights that is kept, validated and
            saved; 0 keeps none.
        tensorboard: Log for TensorBoard too, not only to CSV.
        dry_run: Print what would be trained, parameters, memory and time, and stop.
    """

    output: str = "runs/train"
    max_steps: int = 1000
    resume: bool = True
    seed: int = 0
    accelerator: str = "auto"
    devices: int | Literal["auto"] = "auto"
    nodes: int = 1
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    accumulate: int = 1
    threads: int = 0
    checkpoint_steps: int = 0
    checkpoint_minutes: float = 10.0
    validate_steps: int = 0
    log_steps: int = 50
    picture_steps: int = 0
    ema_decay: float = 0.0
    tensorboard: bool = True
    dry_run: bool = False


@dataclass
class Recipe:
    """A training run.

    Args:
        stage: `detector` trains the frame-level detector on single images, `vita` detector and tracker on whole
            samples, `genvis` the tracker on the frozen detector, clip after clip.
        model: The network and its first weights.
        data: Data sets and sampling.
        optimizer: AdamW and its schedule.
        loss: Losses and matching.
        run: Length, devices, logs and checkpoints.
        cache: Of the frozen detector's outputs.
    """

    stage: Stage = "genvis"
    model: ModelOptions = field(default_factory=ModelOptions)
    data: DataOptions = field(default_factory=DataOptions)
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    run: RunOptions = field(default_factory=RunOptions)
    cache: CacheOptions = field(default_factory=CacheOptions)
