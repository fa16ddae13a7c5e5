"""The embedded platform's pieces: its home folder, its settings, its processes and the demo's first run."""
