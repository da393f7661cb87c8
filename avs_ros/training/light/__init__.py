"""The bundled light model, from data to file: ``python -m avs_ros.training.light --data DIR``."""
