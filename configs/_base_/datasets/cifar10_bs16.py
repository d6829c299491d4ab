# CIFAR-10, padded by 4 pixels and cropped, from images in class folders or torchvision's pickles;
# samples are drawn and augmented alike in a run that is resumed.
_base_ = 'mmpretrain::_base_/datasets/cifar10_bs16.py'

dataset_type = 'CheckedCIFAR10'
train_pipeline = [dict(type='SeedSample'), *_base_.train_pipeline]
train_dataloader = dict(
    batch_sampler=dict(type='SeededBatchSampler'),
    dataset=dict(type=dataset_type, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type=dataset_type))
test_dataloader = val_dataloader
