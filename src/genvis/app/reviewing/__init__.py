"""Results as the page looks at them: frames and masks of a stretch, and corrections, without loading all."""
