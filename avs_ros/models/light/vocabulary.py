"""The classes the light model can mark, and where their images and sounds come from.

A *category* is one map of the semantic branch ("dog", not "beagle").  A *sound class* is one row
of the learned class-audio affinity: a name for what is heard that points at the category whose
pixels make it ("baby" -> person).  The shipped file stores the resulting names and maps, so
nothing of this module is needed at run time.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """One map: its name, the COCO and VOC categories and ImageNet rows that show it."""

    name: str
    coco: tuple[str, ...] = ()
    voc: str = ""
    imagenet: tuple[int, ...] = ()


@dataclass(frozen=True)
class SoundClass:
    """One kind of sound: AudioSet indices that are (``direct``) or may be (``loose``) it."""

    name: str
    category: str
    direct: tuple[int, ...]
    loose: tuple[int, ...] = ()


def _span(*pairs: tuple[int, int]) -> tuple[int, ...]:
    return tuple(i for first, last in pairs for i in range(first, last + 1))


CATEGORIES: tuple[Category, ...] = (
    Category("person", ("person",), "person", (981, 982, 983)),
    Category("dog", ("dog",), "dog", _span((151, 275), (277, 280))),
    Category("cat", ("cat",), "cat", _span((281, 285))),
    Category("big cat", (), "cat", _span((286, 293))),
    Category("bird", ("bird",), "bird", _span((7, 24), (80, 100), (127, 146))),
    Category("horse", ("horse",), "horse", (339, 603)),
    Category("cow", ("cow",), "cow", (345, 346, 347)),
    Category("sheep", ("sheep",), "sheep", (348, 349, 350)),
    Category("pig", (), "", (341, 342)),
    Category("frog", (), "", (30, 31, 32)),
    Category("car", ("car",), "car", (436, 468, 511, 573, 609, 627, 656, 661, 717, 751, 817)),
    Category("emergency vehicle", (), "", (407, 555, 734)),
    Category("bus", ("bus",), "bus", (654, 779, 874)),
    Category("truck", ("truck",), "", (569, 675, 864, 867)),
    Category("motorcycle", ("motorcycle",), "motorbike", (665, 670)),
    Category("train", ("train",), "train", (466, 547, 565, 705, 820, 829)),
    Category("airplane", ("airplane",), "aeroplane", (404, 895)),
    Category("boat", ("boat",), "boat", (472, 484, 510, 554, 576, 625, 628, 780, 814, 871, 914)),
    Category("guitar", (), "", (402, 420, 546)),
    Category("violin", (), "", (486, 889)),
    Category("piano", (), "", (579, 881)),
    Category("drum", (), "", (541, 542, 577, 642, 822)),
    Category("wind instrument", (), "", (432, 513, 558, 566, 593, 683, 699, 776, 875)),
    Category("gun", (), "", (413, 763, 764)),
    Category("power tool", (), "", (491, 589, 621, 882)),
    Category("hammer", (), "", (587,)),
    Category("clock", ("clock",), "", (409, 530, 826, 892)),
    Category("telephone", ("cell phone",), "", (487, 528, 707)),
    Category("keyboard", ("keyboard", "laptop"), "", (508, 810, 878, 620)),
)

SOUND_CLASSES: tuple[SoundClass, ...] = (
    SoundClass(
        "person",
        "person",
        _span((0, 5), (7, 16), (18, 22), (24, 42), (44, 44), (47, 50), (61, 71))
        + (58, 59, 254, 255),
        (6, 17, 23, 43, 45, 46, 51, 52, 53, 54, 55, 56, 218, 238, 261),
    ),
    SoundClass("baby", "person", (6, 17, 23), (22, 24)),
    SoundClass("dog", "dog", _span((74, 80)) + (122,), (45, 72, 73)),
    SoundClass("cat", "cat", (81, 82, 83, 85), (72, 73, 84)),
    SoundClass("big cat", "big cat", (109, 110), (79, 72, 108)),
    SoundClass("bird", "bird", _span((111, 120)) + (104, 105, 106, 107, 121), (98, 72, 108)),
    SoundClass("chicken", "bird", (98, 99, 100, 101, 102, 103), (86,)),
    SoundClass("horse", "horse", (87, 88, 89), (86, 72)),
    SoundClass("cow", "cow", (90, 91, 92), (86, 72)),
    SoundClass("sheep", "sheep", (95, 96, 97), (86, 72)),
    SoundClass("pig", "pig", (93, 94), (86, 72)),
    SoundClass("frog", "frog", (132, 133), (72, 108)),
    SoundClass(
        "car",
        "car",
        (307, 310, 312, 313, 314, 315, 350, 351, 352, 353),
        (300, 306, 308, 309, 327, 343, 348, 349, 459),
    ),
    SoundClass("siren", "emergency vehicle", (322, 323, 324, 325, 396), (397, 318)),
    SoundClass("bus", "bus", (321,), (300, 306, 317, 318, 327, 343, 349, 352)),
    SoundClass("truck", "truck", (316, 317, 318, 319, 320), (300, 306, 308, 327, 343, 349, 352)),
    SoundClass("motorcycle", "motorcycle", (326,), (300, 306, 343, 344, 353)),
    SoundClass("train", "train", _span((328, 334)) + (403,), (300, 492)),
    SoundClass("airplane", "airplane", (335, 336, 337, 340), (338, 300)),
    SoundClass("helicopter", "airplane", (339,), (335, 338)),
    SoundClass("boat", "boat", _span((301, 305)) + (401,), (300,)),
    SoundClass("guitar", "guitar", _span((139, 151)), (138, 250, 229, 231, 251)),
    SoundClass("violin", "violin", (189, 190, 191, 192, 193, 194), (138, 184, 237)),
    SoundClass("piano", "piano", _span((152, 158)) + (160,), (138, 237, 235)),
    SoundClass("drum", "drum", _span((161, 183)), (138, 256, 257)),
    SoundClass(
        "wind instrument", "wind instrument", _span((185, 188), (195, 198)) + (208,), (138, 209)
    ),
    SoundClass("gun", "gun", (427, 428, 429, 430, 431), (426, 433, 434, 436)),
    SoundClass("chainsaw", "power tool", (347,), (343, 344, 421)),
    SoundClass("drill", "power tool", (345, 420, 424, 425), (423,)),
    SoundClass("lawn mower", "power tool", (346,), (343, 344)),
    SoundClass("vacuum cleaner", "power tool", (373, 377, 382), ()),
    SoundClass("hammer", "hammer", (419,), (418, 467, 468, 461, 460, 484, 438)),
    SoundClass("clock", "clock", (395, 406, 407, 408), (409,)),
    SoundClass("telephone", "telephone", _span((389, 394)), (481, 388)),
    SoundClass("keyboard", "keyboard", (384, 385, 386), (491,)),
)

# Sound class of the data folder -> (sound classes that it is, sound classes that it may be and
# which are therefore neither rewarded nor punished).  A class with no sound class is a sound of
# nothing visible.
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
    # A motor is a motor: which vehicle has it is for the image to say.
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
# Categories that one sound may mean: which of them, the image says.
CONFUSABLE_GROUPS: tuple[tuple[str, ...], ...] = (("car", "bus", "truck", "motorcycle"),)
CATEGORY_NAMES: tuple[str, ...] = tuple(f.name for f in CATEGORIES)
SOUND_CLASS_NAMES: tuple[str, ...] = tuple(v.name for v in SOUND_CLASSES)
# Things whose pixels lie within a person's when they are played or used.
OVERLAPS: tuple[tuple[int, int], ...] = tuple(
    (CATEGORY_NAMES.index(held), CATEGORY_NAMES.index("person"))
    for held in (
        "guitar", "violin", "drum", "wind instrument", "gun", "power tool", "hammer", "telephone",
    )
)  # fmt: skip
SOUND_CLASS_CATEGORY: tuple[int, ...] = tuple(
    CATEGORY_NAMES.index(v.category) for v in SOUND_CLASSES
)
