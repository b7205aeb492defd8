"""What the network sees: saliency maps, fooling images, visualizations (chapters 18 to 21)."""
