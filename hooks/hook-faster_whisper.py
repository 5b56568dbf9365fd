"""Without this: `NO_SUCHFILE … faster_whisper/assets/silero_vad_v6.onnx` at the first VAD filter.

The model is read by its path beside the package; no import leads to it.
"""

from PyInstaller.utils.hooks import collect_data_files

datas = collect_data_files("faster_whisper", includes=["assets/*.onnx"])
