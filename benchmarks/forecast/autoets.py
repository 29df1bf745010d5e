"""AutoETS of statsforecast on windows given as .npz: arguments windows.npz forecasts.npz horizon. Runs in its own
environment (benchmarks/requirements.txt), without the product."""

from __future__ import annotations

import sys
import time

import numpy as np
from statsforecast.models import AutoETS


def main(given: str, made: str, horizon: int) -> None:
    histories = list(np.load(given).values())
    model = AutoETS(season_length=7)
    model.forecast(y=histories[0], h=horizon, level=[80, 95])
    begin = time.perf_counter()
    forecasts = [model.forecast(y=history, h=horizon, level=[80, 95]) for history in histories]
    spent = 1000 * (time.perf_counter() - begin) / len(histories)
    out = {"mean": np.stack([forecast["mean"] for forecast in forecasts])}
    for level, name in ((0.8, 80), (0.95, 95)):
        out[f"lower{level}"] = np.stack([forecast[f"lo-{name}"] for forecast in forecasts])
        out[f"upper{level}"] = np.stack([forecast[f"hi-{name}"] for forecast in forecasts])
    np.savez(made, ms_per_series=spent, **out)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
