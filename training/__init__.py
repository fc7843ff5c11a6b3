"""The Keras and Horovod side: chips in, a model folder out; here, the loop."""

import os

# Read when TensorFlow and Keras are first imported, so they must stand before any of our modules. Without the
# first every start prints a page of notices. The others keep out what a user's ~/.keras/keras.json or other
# projects have asked for: our networks, their files and Horovod's hooks are those of Keras 3 on TensorFlow.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_USE_LEGACY_KERAS"] = "0"
