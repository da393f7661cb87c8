"""Files of pictures and sound: videos, bags, drawings on frames, the demo scene."""
