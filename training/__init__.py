"""The Keras and Horovod side: chips in, a model folder out; here, the loop."""

import os

# Read when TensorFlow and Keras are first imported, so they must stand before any of our modules. Without the
# first every start prints a page of notices; the second keeps a user's ~/.keras/keras.json out of it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
