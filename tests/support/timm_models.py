"""The networks of timm that we have configs of."""
# Our configs, and timm's models.
CLASSIFIERS = {
    'eca-resnet26t': 'ecaresnet26t', 'eca-resnet50t': 'ecaresnet50t',
    'eca-resnet50d': 'ecaresnet50d', 'eca-resnet101d': 'ecaresnet101d',
    'eca-resnet200d': 'ecaresnet200d', 'eca-resnet269d': 'ecaresnet269d',
    'eca-resnet-light': 'ecaresnetlight', 'eca-resnext26t-32x4d': 'ecaresnext26t_32x4d',
    'eca-resnext50t-32x4d': 'ecaresnext50t_32x4d', 'eca-resnet50d-pruned': 'ecaresnet50d_pruned',
    'eca-resnet101d-pruned': 'ecaresnet101d_pruned'}
