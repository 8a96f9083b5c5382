"""From a Diffusers checkpoint to a verified bundle; torch lives here."""
