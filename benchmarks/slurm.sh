#!/bin/bash
# The recipes of docs/OPERATING.md on a real SLURM of two nodes on one machine: `sudo bash benchmarks/slurm.sh FOLDER`.
#
# Training over two nodes that is killed by its time limit and queued again ends in the bytes of an undisturbed run; the
# tasks of an array job, each in a clone of its own, give the report of one machine. Needs Debian's slurm-wlm and munge,
# root (it starts the daemons), and an activated environment. About half an hour on two cores. Not part of CI.
set -euo pipefail
repository=$(git rev-parse --show-toplevel)
work=$(realpath -m "${1:?name an empty folder for clones and logs}")
mkdir -p "$work"

start_cluster() {
  sinfo >/dev/null 2>&1 && return
  mkdir -p /var/spool/slurmctld /var/spool/slurmd.n1 /var/spool/slurmd.n2 /var/log/slurm /run/munge
  [ -s /etc/munge/munge.key ] || dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 2>/dev/null
  chown munge: /etc/munge/munge.key /run/munge && chmod 400 /etc/munge/munge.key
  grep -q ' n1 n2$' /etc/hosts || echo '127.0.0.1 n1 n2' >> /etc/hosts
  cat > /etc/slurm/slurm.conf <<EOF
ClusterName=local
SlurmctldHost=$(hostname)
AuthType=auth/munge
SlurmUser=root
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd.%n
SlurmctldLogFile=/var/log/slurm/ctld.log
SlurmdLogFile=/var/log/slurm/%n.log
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
KillWait=5
NodeName=n[1-2] NodeHostname=$(hostname) NodeAddr=127.0.0.1 Port=[17001-17002] CPUs=1 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
EOF
  pgrep munged >/dev/null || runuser -u munge -- munged
  slurmctld && slurmd -N n1 && slurmd -N n2
  sleep 5 && sinfo
}

clone() {  # FOLDER: a clone with a small demo
  git clone -q "$repository" "$1" && cd "$1"
  python -m tools.preset demo demo.admissions=1200 train.epochs=6 encoder.steps=300 explain.documents=5 compute.threads=1 "${@:2}"
  git -c user.name=demo -c user.email=demo@localhost commit -qam "A small demo"
}

md5() { python - <<'EOF'
import yaml
stages = yaml.safe_load(open("dvc.lock"))["stages"]
print(*(out["md5"] for name in ("train_classifier", "evaluate") for out in stages[name]["outs"]))
EOF
}

train_on_two_nodes() {  # NAME TIME_LIMIT
  clone "$work/$1"
  dvc repro labelize > "$work/$1.log" 2>&1
  cat > "$work/$1.sbatch" <<'EOF'
#!/bin/bash
#SBATCH --nodes=2 --ntasks-per-node=1 --cpus-per-task=1
#SBATCH --requeue --open-mode=append --signal=B:TERM@45
trap 'scontrol requeue "$SLURM_JOB_ID"' TERM          # before the time limit: queue again, go on from a checkpoint
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -1)
srun torchrun --nnodes=2 --nproc-per-node=1 --rdzv-backend=c10d --rdzv-endpoint="$head:29500" \
  --rdzv-id="$SLURM_JOB_ID.$SLURM_RESTART_COUNT" -m stages.train_classifier & wait $!
EOF
  id=$(sbatch --parsable --time="$2" --job-name="$1" --output="$work/$1.log" "$work/$1.sbatch")
  while squeue -h -j "$id" 2>/dev/null | grep -q .; do sleep 5; done
  grep -hE "going on from|epoch [0-9]+, train_loss|best:|CANCELLED|processes" "$work/$1.log" || true
  dvc commit -q -f train_classifier && dvc repro >> "$work/$1.log" 2>&1
  md5 > "$work/$1.md5"
}

start_cluster
train_on_two_nodes undisturbed 30
train_on_two_nodes requeued 2
cmp "$work/undisturbed.md5" "$work/requeued.md5" && echo "the requeued training ends in the same bytes"

# The same started by DVC itself, which also predicts over both nodes.
clone "$work/launched" compute.launch="srun --nodes=2 --ntasks-per-node=1 torchrun --nnodes=2 --nproc-per-node=1 \
--rdzv-backend=c10d --rdzv-endpoint=n1:29511"
dvc repro > "$work/launched.log" 2>&1 && md5 > "$work/launched.md5"
cmp "$work/undisturbed.md5" "$work/launched.md5" && echo "started by compute.launch it ends in the same bytes"

# A sweep as an array job: a clone for each task, one cache for all, collected through a bare repository.
git clone -q --bare "$work/undisturbed" "$work/collected.git"
cat > "$work/sweep.sbatch" <<EOF
#!/bin/bash
#SBATCH --array=0-1 --cpus-per-task=1
settings=(train.seed=43 train.seed=44)
git clone -q "$work/collected.git" "$work/task\$SLURM_ARRAY_TASK_ID" && cd "$work/task\$SLURM_ARRAY_TASK_ID"
dvc config --local cache.dir "$work/cache"
dvc exp run -n "sweep\$SLURM_ARRAY_TASK_ID" -S "\${settings[\$SLURM_ARRAY_TASK_ID]}" && dvc exp push --no-cache origin "sweep\$SLURM_ARRAY_TASK_ID"
EOF
sbatch --wait --output="$work/sweep%a.log" "$work/sweep.sbatch"
report() {  # FOLDER: the tables of both experiments
  python -m tools.report sweep0 sweep1 2>/dev/null > "$work/$1.md"
}
git clone -q "$work/collected.git" "$work/collected" && cd "$work/collected"
dvc config --local cache.dir "$work/cache"
dvc exp pull --no-cache origin sweep0 sweep1 && report collected
git clone -q "$work/collected.git" "$work/queue" && cd "$work/queue"
dvc exp run --queue -n sweep0 -S train.seed=43 && dvc exp run --queue -n sweep1 -S train.seed=44
dvc queue start && while [ -n "$(dvc queue status | grep -E "Queued|Running")" ]; do sleep 5; done
report queue
cmp "$work/collected.md" "$work/queue.md" && echo "the collected report is that of a queue on one machine"
