"""From YAML files to checked pipes, with every fault at its line."""
