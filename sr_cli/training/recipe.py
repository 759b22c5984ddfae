"""Recipes: all settings of a training, as data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from sr_cli.errors import RefusedError
from sr_cli.imaging.degradation import Degradation, Photo
from sr_cli.networks import SCALES, model_names

LOSSES = (
    *("l1", "l2", "charbonnier", "ms_ssim", "ldl"),
    *("perceptual", "texture", "lpips", "dists"),
    *("adversarial", "teacher"),
)

_SMALLEST_CROPS = {"ms_ssim": 11, "ldl": 7}
"""The sides in hr pixels of the windows that losses slide over a crop."""

_SMALLEST_WINDOW = 32
"""After VGG's four pools, two pixels a side are left of it."""

_Scale = Annotated[int, Meta(ge=min(SCALES), le=max(SCALES))]
_Positive = Annotated[float, Meta(gt=0)]
_Count = Annotated[int, Meta(ge=1)]
_BelowOne = Annotated[float, Meta(ge=0, lt=1)]
_NotNegative = Annotated[float, Meta(ge=0)]
_Sigma = Annotated[float, Meta(ge=0, le=255)]
_Share = Annotated[float, Meta(gt=0, le=1)]


def trainable_networks() -> list[str]:
    """Names of the networks that a recipe can be for."""
    return [name for name in model_names() if name != "bicubic"]


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of a training. It is saved in the header of the checkpoint.

    Types and limits are those of the annotations. They are checked wherever a recipe is read
    (`recipe_files`) or trained (`train`), not when a Recipe is constructed in Python.

    Raises:
        RefusedError: `unknown-value`, `out-of-range` or `missing-option` for fields that do not
            fit together.
    """

    model: Annotated[
        str,
        Meta(
            description="The network to train.",
            extra_json_schema={"enum": trainable_networks()},
        ),
    ]
    scales: Annotated[
        tuple[_Scale, ...],
        Meta(
            min_length=1,
            description="Scales to train; several only for a network with one set of weights.",
        ),
    ]
    config: Annotated[
        dict[str, Any], Meta(description="The network's settings, for instance its features.")
    ] = msgspec.field(default_factory=dict)

    degradation: Annotated[
        Degradation,
        Meta(description="How lr is made from hr: bicubic, bicubic and noise, or as in photos."),
    ] = "bicubic"
    noise_sigma: Annotated[
        tuple[_Sigma, _Sigma],
        Meta(description="Range of the noise for `degradation = noise`, in 8-bit steps."),
    ] = (0.0, 25.0)
    photo: Annotated[Photo, Meta(description="Ranges for `degradation = photo`.")] = Photo()

    lr_patch: Annotated[
        _Count,
        Meta(
            description="Side of a crop in lr pixels, of the largest scale where there are several."
        ),
    ] = 48
    batch: Annotated[_Count, Meta(description="Crops per step, over all processes.")] = 16
    flips: Annotated[bool, Meta(description="Augmentation: mirror crops.")] = True
    turns: Annotated[bool, Meta(description="Augmentation: rotate crops by 90 degrees.")] = True
    rescale: Annotated[
        tuple[
            Annotated[float, Meta(gt=0, le=4)],
            Annotated[float, Meta(gt=0, le=4)],
        ],
        Meta(description="Augmentation: range of the factor by which hr is resized first."),
    ] = (1.0, 1.0)
    colour_jitter: Annotated[
        _BelowOne,
        Meta(description="Augmentation: largest change of brightness, contrast and saturation."),
    ] = 0.0
    flat_share: Annotated[
        _BelowOne,
        Meta(description="Share of crops replaced by one flat colour, so that walls stay flat."),
    ] = 0.0
    mirrored_margin: Annotated[
        int,
        Meta(
            ge=0,
            le=64,
            description="Lr pixels by which crops are continued by mirroring, as `sr upscale` "
            "continues images; with 0 the network pads them with zeros.",
        ),
    ] = 0

    losses: Annotated[
        dict[str, _Positive],
        Meta(
            min_length=1,
            description="Weights of the losses, which are summed.",
            extra_json_schema={"propertyNames": {"enum": list(LOSSES)}},
        ),
    ] = msgspec.field(default_factory=lambda: {"l1": 1.0})
    adversary: Annotated[
        Literal["vanilla", "relativistic"],
        Meta(description="The adversarial loss: SRGAN's, or ESRGAN's relativistic one."),
    ] = "vanilla"
    discriminator: Annotated[
        Literal["vgg", "unet"],
        Meta(
            description="The discriminator: SRGAN's, one logit a crop, or Real-ESRGAN's U-Net, "
            "one logit a pixel."
        ),
    ] = "vgg"
    adversarial_rise: Annotated[
        Annotated[int, Meta(ge=0)],
        Meta(description="Steps over which the weight of the adversarial loss rises from 0."),
    ] = 0
    adversarial_share: Annotated[
        _NotNegative,
        Meta(
            description="Balance the adversarial loss: scale its gradient at the last layer to "
            "this share of that of all other losses, times its weight; 0 for the weight alone."
        ),
    ] = 0.0
    adversarial_crops: Annotated[
        _Share,
        Meta(
            description="Share of a batch's crops that the discriminator sees. On a CPU its passes "
            "take most of the time."
        ),
    ] = 1.0
    validate: Annotated[
        Literal["psnr", "lpips", "dists"],
        Meta(
            description="The figure by which the best weights are chosen: PSNR of luma, LPIPS on "
            "VGG16, or DISTS."
        ),
    ] = "psnr"
    perceptual_network: Annotated[
        Literal["vgg16", "vgg19"], Meta(description="Network of the perceptual losses.")
    ] = "vgg19"
    perceptual_layer: Annotated[
        str, Meta(description="Layer of the perceptual losses, convBLOCK_NUMBER.")
    ] = "conv5_4"
    perceptual_activated: Annotated[
        bool, Meta(description="Take the layer's output after its ReLU (SRGAN) or before (ESRGAN).")
    ] = True
    perceptual_window: Annotated[
        int,
        Meta(
            ge=0,
            description="Side in hr pixels of the window, at random in each batch, that the "
            "perceptual losses compare: 32 or more; 0 for almost the whole crop.",
        ),
    ] = 0
    teacher: Annotated[
        str, Meta(description="A model whose output the network also learns from (loss `teacher`).")
    ] = ""
    teacher_until: Annotated[
        Annotated[float, Meta(ge=0, le=1)],
        Meta(
            description="Share of the run over which the loss `teacher` falls from its weight to 0 "
            "while the others, except `adversarial`, rise from 0 to theirs; 0 for constant weights."
        ),
    ] = 0.0

    optimiser: Annotated[
        Literal["adam", "adamw", "sgd", "soap"], Meta(description="The optimiser.")
    ] = "adam"
    learning_rate: Annotated[_Positive, Meta(description="Peak learning rate.")] = 1e-4
    discriminator_learning_rate: Annotated[
        _Positive, Meta(description="Peak learning rate of the discriminator.")
    ] = 1e-4
    last_layer_rate: Annotated[
        _Positive, Meta(description="The last layer's learning rate, as a factor.")
    ] = 1.0
    momentum: Annotated[
        _BelowOne, Meta(description="Momentum of SGD, the first beta of the others.")
    ] = 0.9
    second_momentum: Annotated[
        _BelowOne, Meta(description="The second beta of Adam, AdamW and SOAP.")
    ] = 0.999
    weight_decay: Annotated[_NotNegative, Meta(description="Weight decay.")] = 0.0
    clip: Annotated[
        _NotNegative, Meta(description="Largest norm of the gradient; 0 for no limit.")
    ] = 0.0

    schedule: Annotated[
        Literal["cosine", "step", "multistep", "exponential", "constant"],
        Meta(
            description="The learning rate over the run: cosine to 0, times gamma at every "
            "step_share (step, or smoothly: exponential) or at the milestones, or constant."
        ),
    ] = "cosine"
    warmup: Annotated[
        Annotated[int, Meta(ge=0)],
        Meta(description="Steps over which the learning rate rises from 0."),
    ] = 0
    gamma: Annotated[_Share, Meta(description="Factor of the schedule's steps.")] = 0.5
    step_share: Annotated[
        _Share, Meta(description="Share of the run from one of the schedule's steps to the next.")
    ] = 0.2
    milestones: Annotated[
        tuple[Annotated[float, Meta(gt=0, lt=1)], ...],
        Meta(description="Shares of the run at which `multistep` lowers the rate, ascending."),
    ] = (0.5, 0.8, 0.9)

    ema: Annotated[
        _BelowOne,
        Meta(description="Decay of the moving average of the weights, which is what is saved."),
    ] = 0.999
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        Meta(description="Precision to compute in; auto takes half precision where it is faster."),
    ] = "auto"
    rounded_weights: Annotated[
        bool,
        Meta(description="Train weights that bfloat16 holds exactly, for use in half precision."),
    ] = False
    frozen_normalisation: Annotated[
        bool,
        Meta(description="Batch normalisation keeps the statistics of the initial checkpoint."),
    ] = False
    steps: Annotated[
        _Count, Meta(description="Length of the run, unless epochs or a time limit are given.")
    ] = 100_000
    patience: Annotated[
        Annotated[int, Meta(ge=0)],
        Meta(description="Stop after this many validations without a better figure; 0 for never."),
    ] = 0
    seed: Annotated[
        Annotated[int, Meta(ge=0, le=2**63 - 1)],
        Meta(description="Random seed."),
    ] = 0

    def __post_init__(self) -> None:
        known = trainable_networks()
        if self.model not in known:
            raise RefusedError("unknown-value", "model", value=self.model, known=known)
        for name in self.losses:
            if name not in LOSSES:
                raise RefusedError("unknown-value", "loss", value=name, known=LOSSES)
        if "teacher" in self.losses and not self.teacher:
            raise RefusedError("missing-option", "--teacher", example="--teacher edsr-baseline-x4")
        if self.teacher_until and not {"teacher"} < set(self.losses) - {"adversarial"}:
            other = "the loss teacher and another"
            raise RefusedError("option-requires", "teacher_until", other=other)
        for name, (low, high) in {"noise_sigma": self.noise_sigma, "rescale": self.rescale}.items():
            if low > high:
                raise RefusedError("out-of-range", name, value=[low, high], allowed="low to high")
        for name, side in _SMALLEST_CROPS.items():
            if name in self.losses and self.lr_patch * max(self.scales) < side:
                allowed = f"{side} pixels of hr and more for {name}"
                raise RefusedError("out-of-range", "lr_patch", value=self.lr_patch, allowed=allowed)
        if 0 < self.perceptual_window < _SMALLEST_WINDOW:
            allowed = f"0, or {_SMALLEST_WINDOW} and more"
            window = self.perceptual_window
            raise RefusedError("out-of-range", "perceptual_window", value=window, allowed=allowed)
        if list(self.milestones) != sorted(self.milestones):
            value = list(self.milestones)
            raise RefusedError("out-of-range", "milestones", value=value, allowed="ascending")
        if "scale" in self.config:
            raise RefusedError("scale-in-config", "config.scale")

    def lr_side(self, scale: int) -> int:
        """Side of a crop in lr pixels at one of the scales."""
        return self.lr_patch * max(self.scales) // scale

    @property
    def is_adversarial(self) -> bool:
        """Whether a discriminator is trained as well."""
        return "adversarial" in self.losses

    @property
    def keeps_last(self) -> bool:
        """Whether to keep the last weights instead of the best: PSNR misjudges adversarial runs."""
        return self.is_adversarial and self.validate == "psnr"

    @property
    def id(self) -> str:
        """The name of what is trained, for instance `edsr-x4`."""
        return f"{self.model}-x{self.scales[0]}" if len(self.scales) == 1 else self.model


def differences(a: Recipe, b: Recipe) -> list[str]:
    """Names of the fields in which two recipes differ."""
    names = (field.name for field in msgspec.structs.fields(Recipe))
    return [name for name in names if getattr(a, name) != getattr(b, name)]
