"""The one table of public weight files.

``size`` and ``sha256`` stand here only where they are known from a published statement; the
first download of a file without them is not checked beyond loading it.
"""

from __future__ import annotations

from dataclasses import dataclass

from avs_ros.errors import ModelError

_PVT = "https://github.com/whai362/PVT/releases/download/v2"
_SWIN = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0"
_VGGISH = "https://github.com/harritaylor/torchvggish/releases/download/v0.1"
_TIMM = "https://huggingface.co/timm"
_PVT_MIB = (14, 54, 97, 173, 239, 313)
_SWIN_MIB = 335


@dataclass(frozen=True)
class PublicFile:
    """One file: its name in the cache, where it is, and what is known of its content.

    ``url`` None: it cannot be fetched by a program, only in a browser from the source's page.
    ``size`` in bytes; ``about_mib`` where only its rounded size is published or follows from the
    number of parameters.  ``sha256`` may be only the beginning of the hash (some projects put it
    into the file name).
    """

    name: str
    url: str | None
    size: int | None = None
    sha256: str | None = None
    about_mib: int | None = None


@dataclass(frozen=True)
class WeightSource:
    """Files that together hold the weights of one ``network``.

    ``kind``: ``audio`` (a name of ``avs_ros.models.audio``) or ``visual`` (a backbone name).
    """

    name: str
    kind: str
    network: str
    files: tuple[PublicFile, ...]
    licence: str
    page: str
    note: str = ""


def _visual(
    name: str, network: str, file: PublicFile, licence: str, page: str, note: str = ""
) -> WeightSource:
    return WeightSource(name, "visual", network, (file,), licence, page, note)


def _pvt(number: int) -> WeightSource:
    network = f"pvt_v2_b{number}"
    file = PublicFile(f"{network}.pth", f"{_PVT}/{network}.pth", about_mib=_PVT_MIB[number])
    note = "the backbone that C3N starts from" if number == 5 else ""
    page = "https://github.com/whai362/PVT"
    return _visual(network, network, file, "Apache-2.0", page, note)


def _timm(network: str, tag: str, licence: str, about_mib: int) -> WeightSource:
    repository = f"{_TIMM}/{network}.{tag}"
    url = f"{repository}/resolve/main/model.safetensors"
    file = PublicFile(f"{network}.{tag}.safetensors", url, about_mib=about_mib)
    note = "the same weights in timm's naming"
    return _visual(f"{network}.{tag}", network, file, licence, repository, note)


SOURCES: tuple[WeightSource, ...] = (
    *(_pvt(number) for number in range(6)),
    *(_timm(f"pvt_v2_b{i}", "in1k", "Apache-2.0", _PVT_MIB[i]) for i in range(6)),
    _visual(
        "swin_base_patch4_window7_224",
        "swin_base_patch4_window7_224",
        PublicFile(
            "swin_base_patch4_window7_224.pth",
            f"{_SWIN}/swin_base_patch4_window7_224.pth",
            about_mib=_SWIN_MIB,
        ),
        "MIT",
        "https://github.com/microsoft/Swin-Transformer",
    ),
    _timm("swin_base_patch4_window7_224", "ms_in1k", "MIT", _SWIN_MIB),
    WeightSource(
        "panns",
        "audio",
        "panns",
        (
            PublicFile(
                "Cnn14_16k_mAP=0.438.pth",
                "https://zenodo.org/records/3987831/files/Cnn14_16k_mAP%3D0.438.pth?download=1",
                358_668_570,
                "e2ee543a27919542c2ea03eabaa70b24dcd4e6c8e05621de6b67a94e4c5058e6",
            ),
        ),
        "CC BY 4.0",
        "https://zenodo.org/records/3987831",
        "PANNs Cnn14 at 16 kHz",
    ),
    WeightSource(
        "beats",
        "audio",
        "beats",
        (PublicFile("BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt1.pt", None, about_mib=346),),
        "MIT",
        "https://github.com/microsoft/unilm/tree/master/beats",
        "row Iter3+ (AS2M), column AudioSet Fine-Tuned Model 1",
    ),
    WeightSource(
        "vggish",
        "audio",
        "vggish",
        (
            PublicFile(
                "vggish-10086976.pth",
                f"{_VGGISH}/vggish-10086976.pth",
                None,
                "10086976",
                about_mib=275,
            ),
            PublicFile(
                "vggish_pca_params-970ea276.pth",
                f"{_VGGISH}/vggish_pca_params-970ea276.pth",
                None,
                "970ea276",
            ),
            PublicFile(
                "md_50000_iters.tar",
                "https://storage.googleapis.com/deep_learning_enis/speech_audio_understanding/"
                "Eusipco2018_Google_AudioSet/md_50000_iters.tar",
            ),
        ),
        "Apache-2.0 (embedding, PCA); not stated (classifier)",
        "https://github.com/harritaylor/torchvggish",
        "the classifier is a copy kept by others; whether C3N used this very file is not known",
    ),
    WeightSource(
        "efficientat_mn04",
        "audio",
        "efficientat_mn04",
        (
            PublicFile(
                "mn04_as_mAP_432.pt",
                "https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/"
                "mn04_as_mAP_432.pt",
                None,
                "899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c",
                about_mib=4,
            ),
        ),
        "MIT",
        "https://github.com/fschmid56/EfficientAT",
    ),
)


def find_source(name: str) -> WeightSource:
    """The source called ``name``; ModelError lists all of them when there is none."""
    for source in SOURCES:
        if source.name == name:
            return source
    known = ", ".join(source.name for source in SOURCES)
    raise ModelError(f"no known weights are called {name!r}; known: {known}")
