"""Without this, the import fails: `FileNotFoundError … pyannote/audio/telemetry/config.yaml`.

A pipeline's configuration and a model's checkpoint name the module of their class, so without the
hidden imports `pyannote.audio.models.…` would be missing from the bundle.
"""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

datas = collect_data_files("pyannote.audio", includes=["telemetry/config.yaml"])
hiddenimports = collect_submodules("pyannote.audio.models")
hiddenimports += collect_submodules("pyannote.audio.pipelines")
