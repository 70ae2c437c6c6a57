"""What the sample's videos are about: for each topic the words that its titles are put together from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Topic:
    """A category: `handle` ends its creators' names; a title is an opening around a subject, then an ending."""

    name: str
    handle: str
    subjects: tuple[str, ...]
    openings: tuple[str, ...]
    endings: tuple[str, ...]


def _topic(name: str, handle: str, subjects: str, openings: str, endings: str) -> Topic:
    split = [tuple(part.strip() for part in text.split("|")) for text in (subjects, openings, endings)]
    return Topic(name, handle, split[0], split[1], split[2])


TOPICS: Final = (
    _topic(
        "cooking",
        "kitchen",
        "miso soup | flatbread | lemon pasta | lentil curry | fried rice | shakshuka | potato gratin | dumplings "
        "| roast cauliflower | bean stew | ramen eggs | green risotto",
        "Five-minute {} | The {} my neighbour taught me | One-pan {} | {} without a recipe | Proper {} | A cheaper {}",
        "for tired evenings | with what is in the cupboard | for two | that children eat | before the bus leaves "
        "| on a camping stove",
    ),
    _topic(
        "baking",
        "bakes",
        "sourdough | banana bread | cinnamon rolls | shortbread | focaccia | apple tart | cheesecake | bagels "
        "| brioche | oat cookies | rye bread | lemon drizzle cake",
        "Foolproof {} | Why your {} collapses | {} by hand | A slow {} | {}, step by step | The crispest {}",
        "in a small oven | without a scale | for a rainy Sunday | with half the sugar | that keeps for a week "
        "| for nervous beginners",
    ),
    _topic(
        "fitness",
        "moves",
        "mobility routine | push-up ladder | kettlebell circuit | core session | stretching flow | hip opener "
        "| skipping workout | balance drill | warm-up | squat series | back routine | resistance band set",
        "A ten-minute {} | The quiet {} | {} with no equipment | A gentle {} | My honest {} | A {} that lasts",
        "for people who sit all day | in a tiny flat | before breakfast | after a long flight | when knees complain "
        "| you can do with a toddler",
    ),
    _topic(
        "running",
        "runs",
        "first 5k | hill repeats | easy miles | trail race | marathon taper | interval session | night run "
        "| half marathon | recovery jog | parkrun | ultra | tempo run",
        "Surviving your {} | Pacing a {} | What I ate on my {} | Lessons from a {} | Training for a {} "
        "| A diary of my {}",
        "in the rain | with a heart-rate strap | after forty | on icy paths | without a watch | with a stubborn dog",
    ),
    _topic(
        "travel",
        "wanders",
        "Lisbon | Kyoto | the Faroe Islands | Oaxaca | Tbilisi | the Scottish coast | Hanoi | Slovenia "
        "| Marrakesh | Patagonia | Istanbul | Sicily",
        "48 hours in {} | {} by train | {} on a small budget | Getting lost in {} | A winter week in {} "
        "| Eating around {}",
        "without a car | with grandparents | away from the queues | for slow walkers | on three dresses "
        "| as locals would",
    ),
    _topic(
        "gardening",
        "grows",
        "tomatoes | balcony herbs | compost | roses | a wild meadow | strawberries | lavender | chillies "
        "| a rain garden | raised beds | dahlias | salad greens",
        "Rescuing {} | {} from seed | All about {} | {} in pots | The mistake with {} | A year of {}",
        "in heavy clay | on a north-facing ledge | with five minutes a day | in a dry summer | slugs will not touch "
        "| for people who forget to water",
    ),
    _topic(
        "music",
        "plays",
        "a blues shuffle | bar chords | jazz voicings | a lo-fi beat | fingerpicking | a bass groove | harmonies "
        "| scales | a synth pad | polyrhythms | a waltz | vocal warm-ups",
        "Learn {} | {} explained slowly | The trick behind {} | {} from scratch | Practising {} | Improvising over {}",
        "in one sitting | with a cheap guitar | on two fingers | without reading music | for shy singers "
        "| at half the tempo",
    ),
    _topic(
        "comedy",
        "laughs",
        "my landlord | the office fridge | airport security | a family dinner | the group chat | dating at thirty "
        "| my cat | the gym | a polite queue | assembly instructions | the village pub | video calls",
        "Arguing with {} | {}, a tragedy | Nobody warned me about {} | Every conversation with {} "
        "| {} in sixty seconds | If {} were honest",
        "again | but everyone whispers | as a nature film | with too much coffee | on a Monday | told by my mother",
    ),
    _topic(
        "science",
        "explains",
        "black holes | tardigrades | the tides | lightning | soap films | volcanoes | magnets | the northern lights "
        "| slime mould | sleep | superconductors | prime numbers",
        "What {} really do to us | {} in one diagram | The strange story of {} | Three myths about {} "
        "| Why we still study {} | Measuring {}",
        "with kitchen objects | in plain words | for curious children | and why it matters | without the maths "
        "| from a rooftop",
    ),
    _topic(
        "technology",
        "tinkers",
        "an old laptop | home servers | a mechanical keyboard | password managers | a mesh network | smart bulbs "
        "| a tiny computer | spreadsheets | screen readers | an e-ink display | backups | a 3D printer",
        "Reviving {} | A calm guide to {} | {} one year on | Building {} | Stop overpaying for {} | What breaks {}",
        "for your parents | on a Saturday | without the cloud | for under fifty | with free software | that just works",
    ),
    _topic(
        "gaming",
        "quests",
        "a cosy farm | the final boss | speedruns | a city builder | pixel platformers | co-op dungeons "
        "| a chess opening | racing lines | a haunted map | retro consoles | deck building | a space trader",
        "Mastering {} | {} in ten minutes | Hidden secrets of {} | {} with no damage "
        "| A beginner meets {} | The art of {}",
        "on the hardest setting | with my sister | before the patch | using one hand | for relaxed evenings "
        "| as it was meant",
    ),
    _topic(
        "pets",
        "paws",
        "a rescue dog | an anxious cat | two rabbits | a talking parrot | a clumsy puppy | an old tortoise | a ferret "
        "| street kittens | a sheepdog | goldfish | a hedgehog guest | a greyhound",
        "A day with {} | Training {} | What {} taught me | Bath time for {} | {} meets the baby | Vet advice on {}",
        "in a small home | with endless patience | and one cheese cube | during a storm | for first-time keepers "
        "| at six in the morning",
    ),
    _topic(
        "crafts",
        "makes",
        "a wool hat | linocut cards | a leather wallet | paper flowers | a patchwork quilt | a clay mug | macramé "
        "| a wooden spoon | bookbinding | embroidery | candle making | basket weaving",
        "Make {} | {} for absolute beginners | My worst {} | {} with leftovers | The calm of {} | Selling {}",
        "in an afternoon | from old jeans | as a gift | without special tools | with children around "
        "| by the kitchen window",
    ),
    _topic(
        "fashion",
        "wears",
        "a linen shirt | second-hand denim | rain boots | one black dress | knitwear | a tailored coat "
        "| white trainers | silk scarves | workwear | a thrifted blazer | wedding outfits | winter layers",
        "Styling {} | {} five ways | Mending {} | Is {} worth it | Finding {} | A capsule around {}",
        "on a budget | for short people | from office to dinner | without trends | for warm countries "
        "| that fits at last",
    ),
    _topic(
        "football",
        "pitch",
        "a false nine | penalty kicks | the offside trap | five-a-side | first touch | a low block | goalkeeping "
        "| free kicks | a derby day | the youth academy | pressing | throw-ins",
        "Understanding {} | Drills for {} | The history of {} | {} on a muddy pitch | Why {} fails | Coaching {}",
        "with eight-year-olds | in two minutes | as data sees it | for Sunday leagues | told by a referee "
        "| through one match",
    ),
    _topic(
        "history",
        "archives",
        "Roman roads | the spice trade | a forgotten queen | Viking ships | the printing press | medieval recipes "
        "| the Silk Road | canal builders | the first photographs | lighthouse keepers | old maps | ancient graffiti",
        "The truth about {} | {} in five objects | A short walk through {} | Letters about {} | Who paid for {} "
        "| {} as never told",
        "from the archives | with original sources | for the bus ride | in one painting | beyond the myths "
        "| and what we inherited",
    ),
)

FIRST_NAMES: Final = (
    "ana", "ben", "chloe", "dev", "elif", "farid", "greta", "hugo", "ines", "jonas",
    "kaya", "liam", "mira", "noor", "oskar", "priya", "quentin", "rosa", "sami", "tala",
    "uma", "viktor", "wanda", "xavi", "yara", "zeno", "amara", "bruno", "celia", "dario",
)  # fmt: skip
