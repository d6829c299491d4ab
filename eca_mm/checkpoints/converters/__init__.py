"""From the files of ECA-Net's authors, timm, torchvision and MMDetection 1.x to ours."""
