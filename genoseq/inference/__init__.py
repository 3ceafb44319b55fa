"""What a trained model is used for. Every function streams: input is read, results given, batch by batch."""

import lazy_loader

# torch and its kind take seconds to import: no verb is to wait for what it does not use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
