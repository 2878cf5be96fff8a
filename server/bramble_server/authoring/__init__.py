"""What makes tasks and needs TensorFlow for it. Nothing that serves imports it."""
