"""Without this: `FileNotFoundError … pyannote/audio/telemetry/config.yaml` when it is imported.

Then: a pipeline's configuration and a model's checkpoint name the module of their class, so that
`pyannote.audio.models.…` cannot be imported although it is a part of the package.
"""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

datas = collect_data_files("pyannote.audio", includes=["telemetry/config.yaml"])
hiddenimports = collect_submodules("pyannote.audio.models")
hiddenimports += collect_submodules("pyannote.audio.pipelines")
