"""What a person or system may ask for, one file per noun; each writes its line of the audit."""
