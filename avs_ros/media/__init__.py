"""Files of images and sound: videos, bags, drawings on frames, the demo scene."""
