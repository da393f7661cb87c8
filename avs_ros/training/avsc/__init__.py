"""Training of AVSC: potential sounding objects first, what is heard second."""
