"""Facts of the operating system and this process: no module here knows of a model or a job."""
