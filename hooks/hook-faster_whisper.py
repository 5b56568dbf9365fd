"""Without this, the VAD filter fails: `NO_SUCHFILE … faster_whisper/assets/silero_vad_v6.onnx`.

The package reads the model by its path; no import leads to it.
"""

from PyInstaller.utils.hooks import collect_data_files

datas = collect_data_files("faster_whisper", includes=["assets/*.onnx"])
