"""The classes the light model can mark, and where their pictures and sounds come from.

A *family* is one map of the semantic branch ("dog", not "beagle").  A *voice* is one row of the
learned class-audio affinity: a name for what is heard that points at the family whose pixels
make it ("baby" -> person).  The shipped file stores the resulting names and maps, so nothing of
this module is needed at run time.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """One map: its name, the COCO and VOC categories and ImageNet rows that show it."""

    name: str
    coco: tuple[str, ...] = ()
    voc: str = ""
    imagenet: tuple[int, ...] = ()


@dataclass(frozen=True)
class Voice:
    """One kind of sound: AudioSet indices that are (``direct``) or may be (``loose``) it."""

    name: str
    family: str
    direct: tuple[int, ...]
    loose: tuple[int, ...] = ()


def _span(*pairs: tuple[int, int]) -> tuple[int, ...]:
    return tuple(i for first, last in pairs for i in range(first, last + 1))


FAMILIES: tuple[Family, ...] = (
    Family("person", ("person",), "person", (981, 982, 983)),
    Family("dog", ("dog",), "dog", _span((151, 275), (277, 280))),
    Family("cat", ("cat",), "cat", _span((281, 285))),
    Family("big cat", (), "cat", _span((286, 293))),
    Family("bird", ("bird",), "bird", _span((7, 24), (80, 100), (127, 146))),
    Family("horse", ("horse",), "horse", (339, 603)),
    Family("cow", ("cow",), "cow", (345, 346, 347)),
    Family("sheep", ("sheep",), "sheep", (348, 349, 350)),
    Family("pig", (), "", (341, 342)),
    Family("frog", (), "", (30, 31, 32)),
    Family("car", ("car",), "car", (436, 468, 511, 573, 609, 627, 656, 661, 717, 751, 817)),
    Family("emergency vehicle", (), "", (407, 555, 734)),
    Family("bus", ("bus",), "bus", (654, 779, 874)),
    Family("truck", ("truck",), "", (569, 675, 864, 867)),
    Family("motorcycle", ("motorcycle",), "motorbike", (665, 670)),
    Family("train", ("train",), "train", (466, 547, 565, 705, 820, 829)),
    Family("airplane", ("airplane",), "aeroplane", (404, 895)),
    Family("boat", ("boat",), "boat", (472, 484, 510, 554, 576, 625, 628, 780, 814, 871, 914)),
    Family("guitar", (), "", (402, 420, 546)),
    Family("violin", (), "", (486, 889)),
    Family("piano", (), "", (579, 881)),
    Family("drum", (), "", (541, 542, 577, 642, 822)),
    Family("wind instrument", (), "", (432, 513, 558, 566, 593, 683, 699, 776, 875)),
    Family("gun", (), "", (413, 763, 764)),
    Family("power tool", (), "", (491, 589, 621, 882)),
    Family("hammer", (), "", (587,)),
    Family("clock", ("clock",), "", (409, 530, 826, 892)),
    Family("telephone", ("cell phone",), "", (487, 528, 707)),
    Family("keyboard", ("keyboard", "laptop"), "", (508, 810, 878, 620)),
)

VOICES: tuple[Voice, ...] = (
    Voice(
        "person",
        "person",
        _span((0, 5), (7, 16), (18, 22), (24, 42), (44, 44), (47, 50), (61, 71))
        + (58, 59, 254, 255),
        (6, 17, 23, 43, 45, 46, 51, 52, 53, 54, 55, 56, 218, 238, 261),
    ),
    Voice("baby", "person", (6, 17, 23), (22, 24)),
    Voice("dog", "dog", _span((74, 80)) + (122,), (45, 72, 73)),
    Voice("cat", "cat", (81, 82, 83, 85), (72, 73, 84)),
    Voice("big cat", "big cat", (109, 110), (79, 72, 108)),
    Voice("bird", "bird", _span((111, 120)) + (104, 105, 106, 107, 121), (98, 72, 108)),
    Voice("chicken", "bird", (98, 99, 100, 101, 102, 103), (86,)),
    Voice("horse", "horse", (87, 88, 89), (86, 72)),
    Voice("cow", "cow", (90, 91, 92), (86, 72)),
    Voice("sheep", "sheep", (95, 96, 97), (86, 72)),
    Voice("pig", "pig", (93, 94), (86, 72)),
    Voice("frog", "frog", (132, 133), (72, 108)),
    Voice(
        "car",
        "car",
        (307, 310, 312, 313, 314, 315, 350, 351, 352, 353),
        (300, 306, 308, 309, 327, 343, 348, 349, 459),
    ),
    Voice("siren", "emergency vehicle", (322, 323, 324, 325, 396), (397, 318)),
    Voice("bus", "bus", (321,), (300, 306, 317, 318, 327, 343, 349, 352)),
    Voice("truck", "truck", (316, 317, 318, 319, 320), (300, 306, 308, 327, 343, 349, 352)),
    Voice("motorcycle", "motorcycle", (326,), (300, 306, 343, 344, 353)),
    Voice("train", "train", _span((328, 334)) + (403,), (300, 492)),
    Voice("airplane", "airplane", (335, 336, 337, 340), (338, 300)),
    Voice("helicopter", "airplane", (339,), (335, 338)),
    Voice("boat", "boat", _span((301, 305)) + (401,), (300,)),
    Voice("guitar", "guitar", _span((139, 151)), (138, 250, 229, 231, 251)),
    Voice("violin", "violin", (189, 190, 191, 192, 193, 194), (138, 184, 237)),
    Voice("piano", "piano", _span((152, 158)) + (160,), (138, 237, 235)),
    Voice("drum", "drum", _span((161, 183)), (138, 256, 257)),
    Voice(
        "wind instrument", "wind instrument", _span((185, 188), (195, 198)) + (208,), (138, 209)
    ),
    Voice("gun", "gun", (427, 428, 429, 430, 431), (426, 433, 434, 436)),
    Voice("chainsaw", "power tool", (347,), (343, 344, 421)),
    Voice("drill", "power tool", (345, 420, 424, 425), (423,)),
    Voice("lawn mower", "power tool", (346,), (343, 344)),
    Voice("vacuum cleaner", "power tool", (373, 377, 382), ()),
    Voice("hammer", "hammer", (419,), (418, 467, 468, 461, 460, 484, 438)),
    Voice("clock", "clock", (395, 406, 407, 408), (409,)),
    Voice("telephone", "telephone", _span((389, 394)), (481, 388)),
    Voice("keyboard", "keyboard", (384, 385, 386), (491,)),
)

# Sound class of the data folder -> (voices that it is, voices that it may be and which are
# therefore neither rewarded nor punished).  A class with no voice is a sound of nothing visible.
SOUNDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "baby_cry": (("baby",), ("person",)),
    "cry": (("baby",), ("person",)),
    "laugh": (("baby",), ("person",)),
    "person_sneeze": (("person",), ("baby",)),
    "speech": (("person",), ("baby",)),
    "children_playing": (("person",), ("baby",)),
    "chainsaw": (("chainsaw",), ("drill", "lawn mower", "motorcycle")),
    "drilling": (("drill",), ("chainsaw", "vacuum cleaner", "lawn mower")),
    "jackhammer": (("drill",), ("chainsaw", "hammer")),
    "clock_tick": (("clock",), ()),
    "dog_bark": (("dog",), ()),
    "dog": (("dog",), ()),
    "cat": (("cat",), ()),
    "lion": (("big cat",), ()),
    "bird": (("bird",), ()),
    "chicken": (("chicken",), ("bird",)),
    "rooster": (("chicken",), ("bird",)),
    "cow": (("cow",), ()),
    "sheep": (("sheep",), ()),
    "frog": (("frog",), ()),
    "helicopter": (("helicopter",), ("airplane",)),
    "car_horn": (("car", "truck", "bus"), ("train", "boat", "siren", "motorcycle")),
    # A motor is a motor: which vehicle has it is for the picture to say.
    "engine_idling": (("car", "bus", "truck", "motorcycle"), ("lawn mower", "boat", "train")),
    "motor_running": (("car", "bus", "truck", "motorcycle"), ("lawn mower", "boat", "train")),
    "gun_shot": (("gun",), ()),
    "siren": (("siren",), ("car", "truck", "bus")),
    "street_music": ((), ("guitar", "violin", "piano", "drum", "wind instrument", "person")),
    "donkey": ((), ("horse", "cow", "sheep")),
    "monkey": ((), ("dog", "bird", "person")),
    "air_conditioner": ((), ("vacuum cleaner",)),
    "fire_crackling": ((), ()),
    "rain": ((), ()),
    "sea_waves": ((), ()),
}

# What drives, flies or floats by a motor.
VEHICLES: tuple[str, ...] = (
    "car", "emergency vehicle", "bus", "truck", "motorcycle", "train", "airplane", "boat",
)  # fmt: skip
# Families that one sound may mean: which of them, the picture says.
ALIKE: tuple[tuple[str, ...], ...] = (("car", "bus", "truck", "motorcycle"),)
FAMILY_NAMES: tuple[str, ...] = tuple(f.name for f in FAMILIES)
VOICE_NAMES: tuple[str, ...] = tuple(v.name for v in VOICES)
# Things whose pixels lie within a person's when they are played or used.
OVERLAPS: tuple[tuple[int, int], ...] = tuple(
    (FAMILY_NAMES.index(held), FAMILY_NAMES.index("person"))
    for held in (
        "guitar",
        "violin",
        "drum",
        "wind instrument",
        "gun",
        "power tool",
        "hammer",
        "telephone",
    )
)
VOICE_FAMILY: tuple[int, ...] = tuple(FAMILY_NAMES.index(v.family) for v in VOICES)
