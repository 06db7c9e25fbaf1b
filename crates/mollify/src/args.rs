//! The command line.

use std::num::NonZero;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use dataset::Resolution;

/// Trains and samples diffusion models, described by pipelines in RON
///
/// A pipeline is a file that names nodes and wires them: data, network, noise, loss, optimiser, sampler, pictures.
#[derive(Parser)]
#[command(name = "mollify", version, max_term_width = 110, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  mollify run pipelines/quickstart.ron            train on digits and draw new ones
  mollify run pipelines/toy.ron --set steps=32    the same with another value
  mollify check pipelines/toy.ron                 what a pipeline comes to, or is wrong
  mollify kinds Euler                             what a kind of node does
  mollify dataset photos photos.zip               a data set from any pictures
  mollify devices                                 what there is to compute on";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run a pipeline: train, sample, whatever its nodes do
    ///
    /// Metrics and states go to the run folder, `runs/NAME` for NAME.ron. Ctrl-C ends the run after the current tick
    /// with a state to resume from; a second Ctrl-C ends it at once. A file with a `sweep` runs each of its points, one
    /// after the other, each in a folder of its own such as `runs/NAME/steps=18,churn=0.0`.
    #[command(after_help = "Example: mollify run pipelines/quickstart.ron --threads 4")]
    Run(Run),
    /// Look for every mistake in pipelines and print what they come to
    ///
    /// Wires each file without computing anything. Prints the resolved pipeline: bases, given names and settings worked
    /// in, nodes in running order. Exits with 1 if there is a mistake in any of the files.
    #[command(after_help = "Example: mollify check pipelines/*.ron")]
    Check {
        /// The pipelines
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        settings: Settings,
        /// Print a Mermaid chart of the nodes, for Markdown
        #[arg(long)]
        mermaid: bool,
        /// Say as well what the first tick takes of a GPU's memory: `gpu` or `gpu:NAME`
        #[arg(long, value_name = "DEVICE", conflicts_with = "mermaid")]
        device: Option<DeviceChoice>,
    },
    /// Show what the choices in a pipeline come to, and where they fight each other
    ///
    /// Wires the file without running it. Prints the preconditioning, loss weight and density of training at a dozen noise
    /// levels, the time steps of sampling with the churn and the price of an image, and warnings.
    #[command(after_help = "Example: mollify explain pipelines/quickstart.ron --set steps=40")]
    Explain {
        /// The pipeline; of a sweep the first point
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        settings: Settings,
    },
    /// Make a data set of uniform PNGs from pictures of any sort, or look at one (`mollify dataset stats DATA`)
    ///
    /// SOURCE is a folder or zip archive of PNG, JPEG, WebP and BMP, `cifar-10-python.tar.gz`, MNIST's
    /// `train-images-idx3-ubyte.gz`, an LSUN `_lmdb` folder, or an array in `.npy` or `.npz`. Labels come from `dataset.json`
    /// in it or from its folders. DEST is in the format of EDM's and StyleGAN's tools, and the same on each run. Broken
    /// pictures are named in the end.
    #[command(
        args_conflicts_with_subcommands = true,
        subcommand_negates_reqs = true,
        after_help = "Example: mollify dataset photos photos-64x48.zip --resolution 64x48"
    )]
    Dataset(Dataset),
    /// Say how near images come to real ones: Fréchet distance, and on request more
    ///
    /// IMAGES and DATA are anything that `mollify dataset` takes as SOURCE. Features are those of SqueezeNet, which comes with
    /// the program; a distance of them is no FID and is called FD-SqueezeNet512@64. Each score tells everything that it
    /// depends on, and scores of different numbers of images are refused. Beside them stands the floor: the distance between
    /// as many real images and the other real ones.
    #[command(
        after_help = "Example: mollify score runs/sample/png --against photos.zip --also kid,precision-recall"
    )]
    Score(Score),
    /// List the kinds of nodes, or explain one
    #[command(after_help = "Example: mollify kinds Euler")]
    Kinds {
        /// The kind to explain
        #[arg(value_name = "KIND")]
        kind: Option<String>,
    },
    /// Say what is in a file of weights, arrays or the state of a run
    #[command(after_help = "Example: mollify info runs/quickstart")]
    Info {
        /// A `.safetensors` or `.npy` file, or the folder of a run for its newest state
        #[arg(value_name = "CHECKPOINT")]
        file: PathBuf,
    },
    /// List the processor and all GPUs, with what mollify can do with them
    #[command(after_help = "Example: mollify devices")]
    Devices,
    /// Turn a checkpoint of NVIDIA's EDM into one of mollify, without executing anything in it
    ///
    /// Of a snapshot (`network-snapshot-*.pkl`) the averaged network is taken, for `Network(file: "OUT")` and for a network's
    /// `transfer`. Of a training state (`training-state-*.pt`) the network in training with Adam's moments, for all that and
    /// for `mollify run FILE --resume=OUT`. Large files are copied piece by piece.
    #[command(after_help = "Example: mollify import network-snapshot-200000.pkl cifar10.safetensors")]
    Import {
        /// A `network-snapshot-*.pkl` or `training-state-*.pt`
        #[arg(value_name = "CHECKPOINT")]
        file: PathBuf,
        /// The `.safetensors` file to write
        #[arg(value_name = "OUT")]
        out: PathBuf,
        /// The snapshot that belongs to a training state: its averaged network goes into OUT as well
        #[arg(long, value_name = "SNAPSHOT")]
        ema: Option<PathBuf>,
        /// How many images training has seen [default: the thousands in the name of the file]
        #[arg(long, value_name = "N")]
        images: Option<u64>,
    },
    /// Run pipelines and write down what every node ended with
    ///
    /// For `NAME.ron` this is the insta snapshot `snapshots/NAME.snap` beside it: the resolved pipeline, and of every
    /// node's last value the shape, minimum, mean, maximum and standard deviation to 4 digits.
    #[command(after_help = "Example: mollify snapshot pipelines/toy.ron --check && cargo insta review")]
    Snapshot {
        /// The pipelines
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Compare with the snapshot that is there, show what differs and leave it in `NAME.snap.new`
        #[arg(long)]
        check: bool,
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        hardware: Hardware,
    },
}

#[derive(Group)]
pub(crate) struct Run {
    /// The pipeline
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(flatten)]
    pub(crate) hardware: Hardware,
    /// Go on from the newest good state in the run folder, or from a training state that `mollify import` wrote
    #[arg(long, value_name = "STATE", num_args = 0..=1, require_equals = true)]
    pub(crate) resume: Option<Option<PathBuf>>,
    /// Start over; the folder of an earlier run is kept as `runs/NAME.1` and on
    #[arg(long, conflicts_with = "resume")]
    pub(crate) fresh: bool,
    /// Take the time of every kernel and print a table of them in the end, which makes a run slower
    #[arg(long)]
    pub(crate) profile: bool,
    /// Print errors only
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Group)]
pub(crate) struct Dataset {
    #[command(subcommand)]
    pub(crate) look: Option<Look>,
    /// Where the pictures are
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) source: Option<PathBuf>,
    /// Where the data set goes: an archive if it ends in `.zip`, or else a folder
    #[arg(value_name = "DEST", required = true)]
    pub(crate) dest: Option<PathBuf>,
    /// Scale to this size with Lanczos; need not be square
    #[arg(long, value_name = "WxH")]
    pub(crate) resolution: Option<Resolution>,
    /// Before scaling keep the square in the middle, or a strip across it that is put on a black square
    #[arg(long, value_name = "TRANSFORM", requires = "resolution")]
    pub(crate) transform: Option<CropChoice>,
    /// Take the first N pictures, or with a seed any N
    #[arg(long, value_name = "N")]
    pub(crate) max_images: Option<NonZero<usize>>,
    /// Choose which N pictures to take
    #[arg(long, value_name = "S", requires = "max_images")]
    pub(crate) seed: Option<u64>,
    /// Leave out broken pictures instead of failing
    #[arg(long)]
    pub(crate) skip_broken: bool,
    /// How many CPU threads to use [default: one for each core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZero<usize>>,
}

/// What `mollify dataset` does besides making one.
#[derive(Subcommand)]
pub(crate) enum Look {
    /// Count pictures, classes and duplicates, measure pixels, and propose sigma_data, the noise and the largest sigma
    ///
    /// DATA is anything that `mollify dataset` takes as SOURCE, of one size. Pixels are in [-1, 1], as networks see them.
    #[command(after_help = "Example: mollify dataset stats photos-64x48.zip")]
    Stats {
        /// The data set
        #[arg(value_name = "DATA")]
        data: PathBuf,
        /// How many CPU threads to use [default: one for each core]
        #[arg(long, value_name = "N")]
        threads: Option<NonZero<usize>>,
    },
}

#[derive(Group)]
pub(crate) struct Score {
    /// The images, a score for each set
    #[arg(required = true, value_name = "IMAGES")]
    pub(crate) images: Vec<PathBuf>,
    /// The real images, or an `.npz` of their mean `mu` and covariance `sigma`
    #[arg(long, value_name = "DATA")]
    pub(crate) against: PathBuf,
    /// Measure this as well, with all features in memory
    #[arg(long, value_name = "METRIC", value_delimiter = ',')]
    pub(crate) also: Vec<Also>,
    /// Images like DATA that training has not seen, for memorisation
    #[arg(long, value_name = "DATA")]
    pub(crate) held_out: Option<PathBuf>,
    /// Take only N of the images, spread evenly
    #[arg(long, value_name = "N")]
    pub(crate) n: Option<NonZero<usize>>,
    /// Take the features of Inception-v3 instead, for FID: safetensors of the weights of 2015-12-05 with torchvision's names
    #[arg(long, value_name = "WEIGHTS")]
    pub(crate) inception: Option<PathBuf>,
    /// The seeds of the images [default: the numbers in their names]
    #[arg(long, value_name = "SEEDS")]
    pub(crate) seeds: Option<String>,
    /// The weights that made the images: their digest is told
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,
    /// Write the mean and covariance of DATA for later scores
    #[arg(long, value_name = "NPZ")]
    pub(crate) save_statistics: Option<PathBuf>,
    /// Write the scores as JSON
    #[arg(long, value_name = "JSON")]
    pub(crate) to: Option<PathBuf>,
    /// Print scores that `--to` wrote beside these, if they can be compared; may be repeated
    #[arg(long, value_name = "JSON")]
    pub(crate) beside: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) hardware: Hardware,
}

/// What can be measured besides the Fréchet distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Also {
    /// The kernel distance with its standard error.
    Kid,
    /// Precision and recall with 3 neighbours.
    PrecisionRecall,
    /// Distances to the nearest image of DATA, against those of images held out.
    Memorisation,
}

/// What to keep of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CropChoice {
    CenterCrop,
    CenterCropWide,
}

#[derive(Group)]
pub(crate) struct Settings {
    /// Change a given name or a node's field, as in `steps=32` or `hat.amount=40.0`; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub(crate) settings: Vec<String>,
}

#[derive(Group, Clone)]
pub(crate) struct Hardware {
    /// What to compute on: `auto`, `cpu`, `gpu`, or `gpu:NAME` for the one with these words in its name
    ///
    /// `auto` takes a real GPU if there is one, or else the processor; `gpu` takes software that stands in for a GPU as
    /// well. `mollify devices` lists what there is.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(crate) device: DeviceChoice,
    /// Let a GPU check every access to memory, for when its results are in doubt; slower
    #[arg(long)]
    pub(crate) checked: bool,
    /// How many CPU threads to compute with [default: one for each core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZero<usize>>,
}

/// What to compute on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeviceChoice {
    /// A real GPU, or else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// A GPU, or software that stands in for one; with these words in its name, if there are any.
    Gpu(Option<String>),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("gpu:")) {
            ("auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::Cpu),
            ("gpu", _) => Ok(Self::Gpu(None)),
            (_, Some(name)) if !name.is_empty() => Ok(Self::Gpu(Some(name.to_owned()))),
            _ => {
                Err("expected `auto`, `cpu`, `gpu` or `gpu:NAME`; `mollify devices` lists the names"
                    .to_owned())
            }
        }
    }
}
