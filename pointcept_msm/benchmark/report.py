"""Results of a benchmark as rows, a table and growth exponents."""

import platform

import torch

from .measure import growth_exponent


def describe_machine(device) -> dict:
    """What the figures depend on."""
    gpu = torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else None
    return dict(
        device=gpu or platform.processor() or platform.machine(),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
    )


def growth_table(rows: list[dict]) -> list[dict]:
    """rows: dict(item, case, size, seconds, peak_bytes) -> per case dict(item, case, time, memory): exponents."""
    cases = dict.fromkeys((row["item"], row["case"]) for row in rows)
    table = []
    for item, case in cases:
        mine = [row for row in rows if (row["item"], row["case"]) == (item, case)]
        sizes = [row["size"] for row in mine]
        time = growth_exponent(sizes, [row["seconds"] for row in mine])
        memory = growth_exponent(sizes, [row["peak_bytes"] for row in mine])
        if time is not None:
            table.append(dict(item=item, case=case, time=time, memory=memory))
    return table


def format_rows(rows: list[dict]) -> str:
    """Markdown table of the measurements."""
    lines = ["| item | case | voxels | median | fastest - slowest | extra memory |", "|---|---|---|---|---|---|"]
    for row in rows:
        spread = f"{row['fastest'] * 1e3:,.1f} - {row['slowest'] * 1e3:,.1f}"
        memory = f"{row['peak_bytes'] / 2**20:,.0f} MiB"
        cells = (row["item"], row["case"], f"{row['size']:,}", f"{row['seconds'] * 1e3:,.1f} ms", spread, memory)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def format_growth(table: list[dict]) -> str:
    """Markdown table of the exponents; empty when there are none."""
    if not table:
        return ""
    lines = ["| item | case | time grows as voxels^ | memory as voxels^ |", "|---|---|---|---|"]
    for row in table:
        memory = "-" if row["memory"] is None else f"{row['memory']:.2f}"
        lines.append(f"| {row['item']} | {row['case']} | {row['time']:.2f} | {memory} |")
    return "\n".join(lines)
