"""The bundled light model: C3N in small, with what chooses the sounding class beside it."""
