"""Studies run on models, and kept on disk: orders, folders, provenance, the index."""
