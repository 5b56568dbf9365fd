"""Who speaks when: errors and costs against bare pyannote.audio."""
