"""What earlier systems published, in and out: Quantized-CNN (2016) and ccv's Klaus (2014)."""
